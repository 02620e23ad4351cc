"""What a batch says and saves while it runs."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import PrepareFolder, RunFolder
from emjax.classify.em3d.state import IterationRecord, Run, RunState, Stage
from emjax.imaging.particles import cropped_particles
from emjax.io.files import read_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.jobs.em3d_progress import Iterations
from emjax.jobs.prepared import Prepared, ctf_of, groups_of


def record(iteration: int, stage: str) -> IterationRecord:
    """Of an iteration that changed nothing."""
    sizes, histogram = (1, 1), (0,) * 10
    return IterationRecord(
        iteration, Stage(stage), 2, 0.0, 0.0, 0.0, 0.0, sizes, (1.0, 1.0), histogram, ((1.0,),) * 2
    )


def prepared_of(table: ParticleSet, rows: np.ndarray, folder: Path) -> Prepared:
    """As if the others had been set aside; there are no images."""
    pixels = np.zeros((table.n, 1), np.complex64)
    half, ctf, group = np.arange(table.n) % 2 + 1, ctf_of(table), groups_of(table)
    box_size, pixel_size = table.box_size, table.pixel_size
    particles = cropped_particles(
        pixels, table.rotations, ctf, half, group, box_size, pixel_size, 3
    )
    facts = PreparedFacts(
        table.n, box_size, pixel_size, 24.0, 3, particles.box_size, particles.voxel_size, 0, 1,
        "particles.star", "", "",
    )  # fmt: skip
    part = table.select(rows), particles.subset(rows)
    return Prepared(PrepareFolder(folder), facts, table, rows, *part)


def test_iterations_are_seen_while_they_run_and_survive_a_kill(tmp_path: Path, particles: Path):
    table, run = read_particles(particles / "particles.star"), Run(2, 0)
    rows = np.delete(np.arange(table.n), [0, 7])
    prepared = prepared_of(table, rows, tmp_path)
    folder = RunFolder(tmp_path / "em3d-K02-s000")
    box_size, extent = prepared.particles.box_size, prepared.particles.extent

    def state(iteration: int, stage: str, box: int = box_size) -> RunState:
        maps = np.full((2, box, box, box), iteration, np.float32)
        labels = np.arange(len(rows), dtype=np.int32) % 2
        history = (record(iteration, stage),)
        return RunState(run, maps, np.full(2, 0.5, np.float32), labels, iteration, False, history)

    first = Iterations({run: folder}, prepared, maps=True)
    first([state(1, "online")])
    assert {path.name for path in folder.iterations.iterdir()} == {"metrics.tsv"}
    first([state(2, "coarse", box_size - 2)])
    first([state(2, "coarse", box_size - 2)])
    again = Iterations({run: folder}, prepared, maps=True)
    again([state(3, "full")])
    again.tabulate(run, [record(2, "coarse"), record(3, "full")])
    found = sorted(path.name for path in folder.iterations.glob("*_class_001.mrc"))
    assert found == ["iteration_002_class_001.mrc", "iteration_003_class_001.mrc"]
    for name in found:
        volume, voxel_size = read_volume(folder.iterations / name)
        assert len(volume) * voxel_size == pytest.approx(extent)
    labels = read_labels(folder.iterations / "iteration_003_classes.tsv")[1]
    assert labels[[0, 7]].tolist() == [-1, -1]
    np.testing.assert_array_equal(labels[rows], np.arange(len(rows)) % 2)
    metrics = read_tsv(folder.iterations / "metrics.tsv")
    assert metrics["stage"].tolist() == ["coarse", "full"]
    assert metrics["class_002"].tolist() == [1, 1]
    again.remove()
    assert not folder.iterations.exists()


def test_tables_of_iterations_take_a_tenth_of_the_time_at_most(tmp_path: Path, particles: Path):
    table, run = read_particles(particles / "particles.star"), Run(2, 0)
    folder = RunFolder(tmp_path / "em3d-K02-s000")
    prepared = prepared_of(table, np.arange(table.n), tmp_path)
    watching = Iterations({run: folder}, prepared, maps=False)
    maps, labels = np.zeros((2, 4, 4, 4), np.float32), np.zeros(table.n, np.int32)

    def state(n: int) -> RunState:
        history = tuple(record(i + 1, "full") for i in range(n))
        return RunState(run, maps, np.full(2, 0.5, np.float32), labels, n, False, history)

    watching([state(1)])
    watching._cost = 1e6  # as if the first had taken so long
    watching([state(2)])
    assert len(read_tsv(folder.iterations / "metrics.tsv")) == 1
    watching._cost = 0.0
    watching([state(3)])
    assert len(read_tsv(folder.iterations / "metrics.tsv")) == 3
    assert {path.name for path in folder.iterations.iterdir()} == {"metrics.tsv"}
