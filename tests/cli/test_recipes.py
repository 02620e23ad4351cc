"""Recipes that need a network to be built: what can be checked without one."""

import re
import subprocess
import sys
import tomllib

import yaml

from tests.campaigns import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "workflow/envs/emjax.yaml").read_text())["dependencies"]


def test_the_conda_environment_has_the_packages_of_pyproject():
    listed = {line for line in ENVIRONMENT if isinstance(line, str)}
    wanted = {line.replace(">=", " >=", 1) for line in PROJECT["dependencies"]}
    # bioconda's snakemake brings what reading cloud storage needs; this one does without.
    wanted = {line.replace("snakemake ", "snakemake-minimal ") for line in wanted}
    assert wanted <= listed
    own = {line.split()[0] for line in listed - wanted}
    assert own == {"python", "pip", "c-compiler"}
    assert "python >=3.11,<3.14" in listed


def test_pip_takes_emjax_from_where_the_environment_says(tmp_path):
    (pip,) = (line["pip"] for line in ENVIRONMENT if isinstance(line, dict))
    (tmp_path / "requirements.txt").write_text("\n".join(pip))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
    ]
    command += ["--no-build-isolation", "-r", "requirements.txt"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"EMJAX_SOURCE": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"Would install emjax-{PROJECT['version']}" in done.stdout


def test_the_apptainer_recipe_copies_what_a_wheel_is_made_of():
    recipe = (ROOT / "emjax.def").read_text()
    sections = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", recipe, re.DOTALL | re.MULTILINE))
    copied = [line.split() for line in sections["files"].splitlines() if line.strip()]
    assert all((ROOT / source).exists() for source, _ in copied)
    assert all(target == f"/opt/emjax/{source}" for source, target in copied)
    from tests.cli.test_wheel import SOURCES

    assert set(SOURCES) <= {source for source, _ in copied}
    for command in re.findall(r"/opt/emjax/[\w./]+", sections["post"]):
        assert command.removeprefix("/opt/emjax/") in {source for source, _ in copied}
    extras = re.search(r"EXTRAS=(\w+)", sections["arguments"])
    assert extras and extras[1] in PROJECT["optional-dependencies"]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    for name in ("version", "license", "keywords"):
        assert citation[name] == PROJECT[name]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


def test_the_visible_ci_calls_the_same_script_on_every_version():
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["checks"]
    assert [step["run"] for step in ci["steps"] if "run" in step] == [".ci/run"]
    named = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert ci["strategy"]["matrix"]["python"] == named
