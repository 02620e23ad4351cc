"""Commands in the documents are such as the program and the Makefile understand."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from emjax.campaign.settings import complete
from emjax.cli.program import build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = re.compile(r"^ *(emjax [^\n]*)$", re.MULTILINE)
INLINE = re.compile(r"`(emjax [^`]+)`")
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGETS = re.compile(r"^ *make ([a-z-]+)|`make ([a-z-]+)", re.MULTILINE)


def code_of(page: Path) -> str:
    """Its blocks of code, fenced or indented."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"^    .*$", text, re.MULTILINE)])


def commands_of(page: Path) -> list[str]:
    """Whole commands, in blocks of code and between backticks."""
    inline = [" ".join(found.split()) for found in INLINE.findall(page.read_text("utf-8"))]
    named = [found for found in inline if len(found.split()) > 2 and "COMMAND" not in found]
    return [*COMMANDS.findall(code_of(page)), *named]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path):
    for command in commands_of(page):
        words = shlex.split(command, comments=True)[1:]
        # Ends the program where an argument is missing or wrong.
        options, further = build_parser().parse_known_args(words)
        assert options.passes_on or not further, command


def test_options_of_the_documents_exist():
    """Blocks of YAML are parts of configurations; those that are indented, of `runs.em3d`."""
    count = 0
    for page in PAGES:
        for block in YAML.findall(page.read_text(encoding="utf-8")):
            part = yaml.safe_load(block)
            if block.startswith(" "):
                part = {"runs": {"em3d": {"seeds": 1} | part}}
            whole = {"campaign": "x", "particles": "x.star", "filter_resolution": 12}
            whole["runs"] = {"subspace": {"n_classes": [2], "seeds": 1}}
            complete(whole | part, f"{page.name}, {block}")
            count += 1
    assert count >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for pair in TARGETS.findall(page.read_text(encoding="utf-8")):
        target = "".join(pair)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_tutorial_goes_from_a_particle_file_to_selected_particles():
    typed = [command.split()[1] for command in commands_of(ROOT / "docs/tutorial.md")]
    order = [typed.index(name) for name in ("init", "check", "run", "select", "reproduce")]
    assert order == sorted(order)


def test_every_command_is_in_a_document():
    said = " ".join(page.read_text(encoding="utf-8") for page in PAGES)
    actions = build_parser()._subparsers
    assert actions is not None
    for name in actions._group_actions[0].choices or ():
        assert f"emjax {name}" in said, name
