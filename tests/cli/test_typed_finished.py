"""The tutorial as typed, with less of everything; then what other pages do with its results."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from emjax.io.labels.read import read_labels
from tests.campaigns import ROOT, tiny_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RESULTS = Path("results/my_first")
# What other pages type on finished campaigns, as often as they do, and what they call them.
PAGES = {
    "interop": {"export": 2, "select": 2, "convert": 1},
    "relion": {"select": 1},
    "cryosparc": {"select": 1},
    "many-states": {"select": 1, "init": 1},
    "filter-resolution": {"consensus": 1},
}
NAMES = {
    "results/demo": str(RESULTS),
    "em3d-K04-s000": "em3d-K03-s000",
    "config.yaml": "my.yaml",
    "many.yaml": "my.yaml",
}
Typed = Callable[..., None]


def steps(page: str) -> list[list[str] | dict]:
    """Commands of a page, and the options that the reader sets between them."""
    found: list[list[str] | dict] = []
    for language, block in BLOCKS.findall((ROOT / f"docs/{page}.md").read_text("utf-8")):
        if language == "yaml":
            found.append(yaml.safe_load(block))
        elif language in ("", "sh"):
            lines = (shlex.split(line, comments=True) for line in block.splitlines())
            found += [words[1:] for words in lines if words[:1] == ["emjax"]]
    return found


def type_in(folder: Path, *words: str) -> None:
    """Type a command, which must succeed."""
    command = [sys.executable, "-m", "emjax", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, f"emjax {shlex.join(words)}: {done.stdout}{done.stderr}"


def change(path: Path, options: dict) -> None:
    """Set options in the reader's configuration."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | options))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Path:
    """A folder in which the tutorial was typed, command by command."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "data").mkdir()
    shutil.copytree(particles, folder / "data/demo")
    mine, typed = folder / "my.yaml", []
    for step in steps("tutorial"):
        if isinstance(step, list):
            type_in(folder, *step)
            typed.append(step[0])
            if step[0] == "init":
                em3d = tiny_config()["runs"]["em3d"] | {"n_classes": [3]}
                change(mine, {"runs": {"em3d": em3d}})
            if step[0] == "run":
                # As the campaign of the coarse filter, for the page about filters.
                shutil.copytree(folder / RESULTS, folder / "results/coarse")
            continue
        change(mine, step)
        if "campaign" not in step:
            # The page says in words to type it again.
            type_in(folder, "run", "my.yaml")
    assert typed == ["init", "check", "estimate", "run", "select", "reproduce"]
    return folder


def test_the_tutorial_ends_with_what_it_says(project: Path):
    results = project / RESULTS
    labels = read_labels(results / "consensus/particles.star")[1]
    assert set(labels.tolist()) >= {0, 1, 2}
    kept = read_labels(results / "rebalance/particles_kept.star")[1]
    assert set(kept.tolist()) == {0, 1} and len(kept) < len(labels)
    excluded = read_labels(results / "rebalance/particles_excluded.star")[1]
    assert len(kept) + len(excluded) == len(labels)
    assert set(read_labels(project / "class_1.star")[1].tolist()) == {0}
    assert "You keep classes 1, 2" in (results / "report.html").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_pages_do_as_typed_on_a_finished_campaign(page: str, project: Path):
    shutil.copytree(project / RESULTS, project / "results/fine", dirs_exist_ok=True)
    done = dict.fromkeys(PAGES[page], 0)
    for step in steps(page):
        if isinstance(step, dict) or step[0] not in done:
            continue
        words = step
        for name, mine in NAMES.items():
            words = [mine if word == name else word for word in words]
        # What pages start from is there only where a step before has made it.
        if not all((project / word).exists() for word in words[1:] if "/" in word) or (
            words[0] == "convert" and not (project / words[1]).exists()
        ):
            continue
        type_in(project, *words)
        done[words[0]] += 1
        if "-o" in words and words[0] != "consensus":
            assert (project / words[words.index("-o") + 1]).stat().st_size > 0
    assert done == PAGES[page]


def test_exports_and_conversions_hold_the_particles(project: Path):
    for step in steps("interop"):
        if isinstance(step, list) and step[:2] == ["convert", "data/demo/particles.star"]:
            type_in(project, *step)
    columns = (project / "particles.cs").read_bytes()[:4000]
    assert b"alignments3D/pose" in columns
    relion = project / RESULTS / "export/relion"
    assert sorted(relion.glob("*.star"))
