"""The command line itself: help, versions, wrong words, wrong input."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from emjax.cli import main
from tests.cli.conftest import Emjax

COMMANDS = (
    "init check estimate run status report reproduce demo select export convert completion".split()
)
OF_CONFIG = "check estimate run status report".split()
# A command line that is right but for the file, which is not there.
WITH_FILE = {
    "init": ["init", "no.star"],
    "reproduce": ["reproduce", "no.json"],
    "select": ["select", "no.star", "--classes", "1", "-o", "out.star"],
    "export": ["export", "results/no", "no.star"],
    "convert": ["convert", "no.star", "out.cs"],
} | {name: [name, "no.yaml"] for name in OF_CONFIG}


def test_the_version_is_the_packages(emjax: Emjax):
    assert emjax("--version") == (0, f"emjax {version('emjax')}\n", "")


def test_help_names_every_command_with_its_meaning(emjax: Emjax):
    said = emjax("--help")
    assert said.code == 0
    words = (line.split() for line in said.out.splitlines() if line.startswith("    "))
    meanings = {name: meaning for name, *meaning in words}
    assert all(len(meanings[name]) > 2 for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(emjax: Emjax, name: str):
    said = emjax(name, "--help")
    assert said.code == 0 and said.out.startswith(f"usage: emjax {name}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["resume"],
        ["status"],
        ["status", "a.yaml", "--speed"],
        ["status", "a.yaml", "--", "--cores"],
        ["select", "a.star", "-o", "b.star", "--classes", "one"],
        ["select", "a.star", "-o", "b.star"],
        ["completion", "cmd"],
        ["run", "a.yaml", "--corse", "2"],
        ["run", "a.yaml", "--cores"],
    ],
)
def test_a_wrong_command_line_ends_with_status_2(emjax: Emjax, arguments: list[str]):
    said = emjax(*arguments)
    assert said.code == 2 and "error: " in said.err.splitlines()[-1] and not said.out
    assert said.err.startswith("usage: emjax") and "  : " not in said.err


@pytest.mark.parametrize("name", WITH_FILE)
def test_a_missing_file_is_reported_in_one_line(emjax: Emjax, name: str):
    said = emjax(*WITH_FILE[name])
    assert said.code == 1
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert next(word for word in WITH_FILE[name][::-1] if "no." in word) in said.err


MALFORMED = {
    "empty": "",
    "text": "campaign",
    "list": "- campaign",
    "no YAML": "campaign: [",
    "binary": b"\xff\xfe\x00",
    "unknown option": "campaign: a\nparticle: b.star\n",
    "tab": "campaign: a\n\tparticles: b.star\n",
    "method at top level": "campaign: a\nem3d: {n_classes: [4]}\n",
    "folder": None,
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("name", OF_CONFIG)
def test_a_malformed_configuration_is_reported_in_one_line(emjax: Emjax, name: str, kind: str):
    content, path = MALFORMED[kind], Path("my.yaml")
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = emjax(name, "my.yaml")
    assert said.code == 1 and not said.out
    assert said.err.startswith("error: my.yaml: ") and said.err.count("\n") == 1
    assert said.err.count("my.yaml") == 1


def test_the_command_starts_without_jax():
    script = (
        "import sys; from emjax.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "slow = {'jax', 'numpy', 'pandas', 'yaml', 'snakemake', 'shtab'} & set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_seen_enough_is_no_error():
    root = Path(__file__).resolve().parents[2]
    command = f"{sys.executable!r} -m emjax completion bash | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command.replace("'", '"')], cwd=root, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_is_read_by_the_shell(emjax: Emjax, shell: str):
    said = emjax("completion", shell)
    assert said.code == 0
    assert all(name in said.out for name in COMMANDS) and "--min-stability" in said.out
    if program := shutil.which(shell):
        done = subprocess.run([program, "-n"], input=said.out, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_completion_offers_commands_options_and_files(emjax: Emjax):
    Path("my.yaml").touch()
    Path("completion").write_text(emjax("completion", "bash").out)
    ask = (
        "source ./completion; COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1));"
        " _shtab_emjax; echo ${{COMPREPLY[@]}}"
    )
    for words, offered in (
        ("emjax st", "status"),
        ("emjax run --v", "--verbose"),
        ("emjax status my", "my.yaml"),
    ):
        done = subprocess.run(
            ["bash", "-c", ask.format(words)], capture_output=True, text=True, check=True
        )
        assert offered in done.stdout.split()


@pytest.mark.parametrize(
    "words",
    [
        "run --cores 2 tiny.yaml report --forcerun build_consensus",
        "run --forcerun build_consensus --cores 2 tiny.yaml report",
        "run tiny.yaml report --cores 2 --forcerun build_consensus",
    ],
)
def test_words_of_snakemakes_options_are_no_files_of_ours(
    emjax: Emjax, tiny: str, started: list[list[str]], words: str
):
    assert emjax(*words.split()) == (0, "", "")
    parsed = get_argument_parser().parse_args(started[0][3:])
    assert parsed.configfile == [Path(tiny)] and parsed.cores == 2
    assert set(parsed.targets) == {"report"} and set(parsed.forcerun) == {"build_consensus"}


def test_the_demo_of_make_is_simulated_in_this_folder(monkeypatch: pytest.MonkeyPatch):
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(
        ["make", "-n", "demo", "CORES=2"], cwd=root, capture_output=True, text=True
    )
    words = next(line for line in said.stdout.splitlines() if " demo " in line).split()
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(
        "emjax.campaign.demo.run_demo",
        lambda _, say, further, **options: calls.append({"further": further, **options}) or 0,
    )
    monkeypatch.chdir(root)
    assert main(words[words.index("demo") :]) == 0 and Path.cwd() == root
    assert calls == [{"further": ["--cores", "2"], "config": Path("config.yaml"), "verbose": False}]


def test_a_target_that_no_rule_makes_is_reported_in_one_line(emjax: Emjax, tiny: str):
    said = emjax("run", tiny, "everything")
    assert said.code == 1 and not said.out
    assert said.err.count("\n") == 1 and "No rule to produce everything" in said.err


@pytest.mark.parametrize("name", ["my.yaml", "class_1", "no.star"])
def test_select_writes_particle_files_and_over_none_that_it_reads(emjax: Emjax, name: str):
    said = emjax("select", "no.star", "--classes", "1", "-o", name)
    assert said.code == 2 and f"-o: found {name}, " in said.err.splitlines()[-1]
