"""Commands of the pages on stand-alone jobs, as typed, on folders like RELION's and CryoSPARC's."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile

from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles, write_particles
from tests.aligned_2d import write_images
from tests.campaigns import ROOT
from tests.cli.test_typed_finished import type_in
from tests.rebalance.jobs import averages_of_views, write_class2d

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEEDS = 3  # of the classification whose jobs the page on consensus names


def typed(page: str) -> list[list[str]]:
    """Commands of a page: lines that are indented by four spaces."""
    lines = (ROOT / f"docs/{page}.md").read_text("utf-8").splitlines()
    found = (shlex.split(line, comments=True) for line in lines if line.startswith("    emjax "))
    return [words[1:] for words in found]


def write_classes(particles: Path, job: Path, labels: np.ndarray) -> None:
    """A job's particles with a class each, from 0."""
    job.mkdir(parents=True, exist_ok=True)
    table = read_particles(particles)
    write_particles(job / "run_it025_data.star", table, {"rlnClassNumber": labels + 1})


def test_reconstruct(tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    refined = Path("Refine3D/job012/run_data.star")
    refined.parent.mkdir(parents=True)
    shutil.copytree(particles, "data")
    refined.write_text(
        Path("data/particles.star").read_text().replace("@particles.mrcs", "@data/particles.mrcs")
    )
    labels = np.arange(300) % 3
    write_classes(refined, Path("Class3D/job015"), labels)
    (command,) = typed("reconstruct")
    type_in(tmp_path, *command)
    made = sorted(path.name for path in Path("results/maps/reconstruct").glob("class_00?.mrc"))
    assert made == ["class_001.mrc", "class_002.mrc", "class_003.mrc"]
    found = read_labels("results/maps/reconstruct/particles.star")[1]
    assert np.array_equal(found, labels)


def test_consensus(tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rng, truth = np.random.default_rng(0), np.arange(300) % 2
    (command,) = typed("consensus")
    jobs = [Path(word) for word in command if word.startswith("Class3D/")]
    assert len(jobs) == SEEDS
    for job in jobs:
        wrong = rng.random(300) < 0.05
        write_classes(particles / "particles.star", job, np.where(wrong, 1 - truth, truth))
    type_in(tmp_path, *command)
    found = read_labels("results/three/consensus/particles.star")[1]
    assert max((found == truth).mean(), (found == 1 - truth).mean()) > 0.97


def test_rebalance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (command,) = typed("rebalance")
    write_class2d(Path(command[1]), averages_of_views(6, 2), [90, 30, 60, 30, 30, 60])
    type_in(tmp_path, *command)
    groups = pd.read_csv("results/job010-rebalance/rebalance/superclasses.tsv", sep="\t")
    # Class k shows view k % 2.
    assert groups["superclass"].tolist() == [1, 2, 1, 2, 1, 2]


def test_som(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Three forms of the same images; of the folder, RELION's CTF columns are added."""
    monkeypatch.chdir(tmp_path)
    write_images(Path("data"), 240, 32)
    tables = starfile.read(Path("data/particles.star"), always_dict=True)
    ctf = {"rlnDefocusU": 500.0, "rlnDefocusV": 500.0, "rlnDefocusAngle": 0.0}
    tables["particles"] = tables["particles"].assign(**ctf)
    Path("Class2D/job010").mkdir(parents=True)
    starfile.write(tables, Path("Class2D/job010/run_it025_data.star"))
    Path("J12").mkdir()
    shutil.copy("data/particles.cs", "J12/J12_020_particles.cs")
    shutil.copy("data/aligned.mrcs", "aligned.mrcs")
    commands = typed("som")
    assert len(commands) == 3
    for command in commands:
        before = set(Path("results").glob("*/report.html")) if Path("results").exists() else set()
        type_in(tmp_path, *command)
        assert len(set(Path("results").glob("*/report.html")) - before) == 1
