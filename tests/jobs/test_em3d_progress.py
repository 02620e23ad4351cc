"""What a batch says and saves while it runs."""

from pathlib import Path

import numpy as np

from emjax.classify.em3d.state import IterationRecord, Run, RunState, Stage
from emjax.io.particles.particle_set import read_particles
from emjax.jobs.em3d_progress import Iterations


def record(iteration: int, stage: str) -> IterationRecord:
    """Of an iteration that changed nothing."""
    sizes, histogram = (1, 1), (0,) * 10
    return IterationRecord(
        iteration, Stage(stage), 2, 0.0, 0.0, 0.0, 0.0, sizes, (1.0, 1.0), histogram, ((1.0,),) * 2
    )


def test_iterations_before_a_kill_are_delivered_with_those_after(tmp_path: Path, particles: Path):
    table, run = read_particles(particles / "particles.star"), Run(2, 0)

    def state(iteration: int, stage: str) -> RunState:
        maps = np.full((2, 8, 8, 8), iteration, np.float32)
        labels = np.arange(table.n, dtype=np.int32) % 2
        history = (record(iteration, stage),)
        return RunState(run, maps, np.full(2, 0.5, np.float32), labels, iteration, False, history)

    checkpoint = tmp_path / "classify.npz"
    first = Iterations(checkpoint, table, 6.0)
    for states in ([state(1, "online")], [state(2, "full")], [state(2, "full")]):
        first(states)
    again = Iterations(checkpoint, table, 6.0)
    again([state(3, "full")])
    (tmp_path / "run").mkdir()
    again.deliver(run, tmp_path / "run" / "iterations")
    again.remove()
    found = sorted(path.name for path in (tmp_path / "run" / "iterations").glob("*_class_001.mrc"))
    assert found == ["iteration_002_class_001.mrc", "iteration_003_class_001.mrc"]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
