"""What a batch of em3d runs starts from, and what it says and writes while it runs."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _checkpoint import Checkpoint
from _job import Job

from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Scene, Stage, make_scene
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import ParticleSet, write_particles


def read_scene(prepare: Path, focus: str | None, box_size: int, full_box: int) -> Scene:
    """Mean map and masks on the cropped box; the focus mask comes on the particles' box."""
    return make_scene(
        read_volume(prepare / "mean_map.mrc")[0],
        read_volume(prepare / "solvent_mask.mrc")[0],
        resample_mask(read_volume(focus, full_box)[0], box_size) if focus else None,
    )


def first_maps(
    runs: Sequence[Run], paths: Sequence[str], box_size: int
) -> dict[Run, np.ndarray] | None:
    """The user's maps on the cropped box, the same for every run; None where there are none."""
    if not paths:
        return None
    return dict.fromkeys(runs, np.stack([resample(read_volume(p)[0], box_size) for p in paths]))


def stand(states: Sequence[RunState]) -> tuple[Stage, int]:
    """The stage that all runs are in, and its iterations done by the one that is farthest."""
    stage = states[0].stage
    return stage, max(s.done for s in states)


class Iterations:
    """Maps and classes after each full iteration.

    They gather beside the checkpoint until the runs are finished: Snakemake removes the declared
    outputs of a job that fails, and one that goes on does not repeat its first iterations.
    """

    def __init__(self, checkpoint: Path, table: ParticleSet, voxel_size: float) -> None:
        """The folder to gather them in is named after the checkpoint."""
        self._folder = checkpoint.with_name(f"iterations_{checkpoint.stem}")
        self._table, self._voxel_size = table, voxel_size
        self._written: set[tuple[Run, int]] = set()

    def __call__(self, states: Sequence[RunState]) -> None:
        """Write what each run has newly found."""
        for state in states:
            done = (state.run, state.iteration)
            if done in self._written or state.history[-1].stage is not Stage.FULL:
                continue
            self._written.add(done)
            folder = self._of(state.run)
            folder.mkdir(parents=True, exist_ok=True)
            start = f"iteration_{state.iteration:03d}"
            for k, volume in enumerate(state.volumes):
                path = folder / f"{start}_class_{k + 1:03d}.mrc"
                write_volume(path, volume, self._voxel_size)
            columns = {"rlnClassNumber": state.labels + 1}
            write_particles(folder / f"{start}.star", self._table, columns)

    def deliver(self, run: Run, target: Path) -> None:
        """Copy a finished run's files to where they are declared."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._of(run), target)

    def remove(self) -> None:
        """Forget them: all runs are delivered, or an earlier computation left them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _of(self, run: Run) -> Path:
        return self._folder / f"K{run.n_classes:02d}-s{run.seed:03d}"


class Progress:
    """Tells an iteration in one line and saves where the runs stand."""

    def __init__(
        self,
        work: Job,
        checkpoint: Checkpoint,
        options: Em3dOptions,
        iterations: Iterations | None = None,
    ) -> None:
        """The clock starts now; `iterations` writes each of them, where that is wanted."""
        self._work, self._checkpoint, self._options = work, checkpoint, options
        self._iterations = iterations
        self._last = time.monotonic()
        work.rescues.append(checkpoint.flush)

    def __call__(self, states: Sequence[RunState]) -> None:
        """After each iteration, with the states of all runs."""
        took, self._last = time.monotonic() - self._last, time.monotonic()
        stage, done = stand(states)
        latest = [s.history[-1] for s in states if s.history]
        most = self._options.full_iterations
        # An iteration with all pixels takes about twice as long as one with half of them.
        left = most - done + (2 * most if stage is Stage.COARSE else 0)
        settled = "settled there" if stage is Stage.COARSE else "converged"
        self._work.say(
            f"{stage} iteration {done} of at most {most},"
            f" {sum(s.converged for s in states)} of {len(states)} runs {settled},"
            f" {100 * np.mean([h.switched for h in latest]):.1f} % switched class,"
            f" log-likelihood {np.mean([h.log_likelihood for h in latest]):.4f} a particle,"
            f" {took:.1f} s, {took * left:.0f} s left at most"
        )
        # Before the checkpoint: a job that goes on does not come by here again.
        if self._iterations:
            self._iterations(states)
        self._checkpoint.save(states)
