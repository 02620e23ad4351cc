"""A map of images alone, by its command: of a stack that nothing but `--aligned` describes."""

import json
from pathlib import Path

import pytest

from emjax.cli import main
from tests.aligned_2d import write_images

pytestmark = pytest.mark.slow


def test_the_command_maps_a_stack_and_makes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    write_images(Path("data"), 200, 32)
    command = ["som", "data/aligned.mrcs", "--aligned", "--map", "3", "2", "--seeds", "2"]
    command += ["--regularisation", "50", "5", "-o", "map"]
    assert main(command) == 0
    said = capfd.readouterr()
    assert "options: map.yaml" in said.out and "report: " in said.out + said.err
    made = {path.name for path in Path("results/map").iterdir()}
    assert made == {"prepare", "runs", "classes", "figures", "report.html", "verdict.json",
                    "campaign.json"}  # fmt: skip
    assert not list(Path("results/map").rglob("*mean*"))
    assert not list(Path("results/map").rglob("*mask*"))
    assert json.loads(Path("results/map/verdict.json").read_text())["headline"].startswith(
        "200 images on a map of 3 × 2: "
    )
    assert main(command) == 0
    assert "nothing to be done" in "".join(capfd.readouterr())


def test_a_stack_that_is_not_said_to_be_aligned_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    write_images(Path("data"), 40, 32)
    assert main(["som", "data/aligned.mrcs", "-o", "map"]) != 0
    assert "a stack, which has no psi and origins" in "".join(capfd.readouterr())
