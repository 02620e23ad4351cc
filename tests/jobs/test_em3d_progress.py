"""What a batch says and saves while it runs."""

from pathlib import Path

import numpy as np

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import PrepareFolder
from emjax.classify.em3d.state import IterationRecord, Run, RunState, Stage
from emjax.imaging.particles import cropped_particles
from emjax.io.labels.read import read_labels
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


def test_iterations_before_a_kill_are_delivered_with_those_after(tmp_path: Path, particles: Path):
    table, run = read_particles(particles / "particles.star"), Run(2, 0)
    rows = np.delete(np.arange(table.n), [0, 7])
    prepared = prepared_of(table, rows, tmp_path)

    def state(iteration: int, stage: str) -> RunState:
        maps = np.full((2, 8, 8, 8), iteration, np.float32)
        labels = np.arange(len(rows), dtype=np.int32) % 2
        history = (record(iteration, stage),)
        return RunState(run, maps, np.full(2, 0.5, np.float32), labels, iteration, False, history)

    checkpoint = tmp_path / "classify.npz"
    first = Iterations(checkpoint, prepared)
    for states in ([state(1, "online")], [state(2, "full")], [state(2, "full")]):
        first(states)
    again = Iterations(checkpoint, prepared)
    again([state(3, "full")])
    (tmp_path / "run").mkdir()
    again.deliver(run, tmp_path / "run" / "iterations")
    again.remove()
    found = sorted(path.name for path in (tmp_path / "run" / "iterations").glob("*_class_001.mrc"))
    assert found == ["iteration_002_class_001.mrc", "iteration_003_class_001.mrc"]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    labels = read_labels(tmp_path / "run" / "iterations" / "iteration_003.star")[1]
    assert labels[[0, 7]].tolist() == [-1, -1]
    np.testing.assert_array_equal(labels[rows], np.arange(len(rows)) % 2)
