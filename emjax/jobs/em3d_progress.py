"""What a batch of em3d runs says and saves while it runs."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emjax.campaign.job import EVERY, Job, duration
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Stage
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import write_particles
from emjax.jobs.checkpoint import Checkpoint
from emjax.jobs.prepared import Prepared

COARSE_COST = 0.5  # of an iteration with half of the pixels, beside one with all


def stand(states: Sequence[RunState]) -> tuple[Stage, int]:
    """The stage that all runs are in, and its iterations done by the one that is farthest."""
    stage = states[0].stage
    return stage, max(s.done for s in states)


class Iterations:
    """Maps and classes after each full iteration.

    They gather beside the checkpoint until the runs are finished: Snakemake removes the declared
    outputs of a job that fails, and one that resumes does not repeat its first iterations.
    """

    def __init__(self, checkpoint: Path, prepared: Prepared) -> None:
        """The folder to gather them in is named after the checkpoint."""
        self._folder = checkpoint.with_name(f"iterations_{checkpoint.stem}")
        self._prepared = prepared
        self._written: set[tuple[Run, int]] = set()

    def __call__(self, states: Sequence[RunState]) -> None:
        """Write what each run has newly found."""
        for state in states:
            done = (state.run, state.iteration)
            if done in self._written or state.history[-1].stage not in (Stage.FULL, Stage.LAST):
                continue
            self._written.add(done)
            folder = self._of(state.run)
            folder.mkdir(parents=True, exist_ok=True)
            start = f"iteration_{state.iteration:03d}"
            for k, volume in enumerate(state.volumes):
                path = folder / f"{start}_class_{k + 1:03d}.mrc"
                write_volume(path, volume, self._prepared.particles.voxel_size)
            number = np.zeros(self._prepared.everyone.n, int)
            number[self._prepared.rows] = state.labels + 1
            path = folder / f"{start}.star"
            write_particles(path, self._prepared.everyone, {"rlnClassNumber": number})

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
    """Says an iteration in one line and saves where the runs stand."""

    def __init__(
        self,
        work: Job,
        options: Em3dOptions,
        checkpoint: Checkpoint,
        iterations: Iterations | None = None,
    ) -> None:
        """The clock starts now; `iterations` writes each of them, where that is wanted."""
        self._work, self._checkpoint, self._options = work, checkpoint, options
        self._iterations = iterations
        self._last: dict[str, float] = {}  # by stage: the first step of each compiles
        work.rescues.append(checkpoint.flush)

    def __call__(self, states: Sequence[RunState]) -> None:
        """After each iteration, with the states of all runs."""
        stage, done = stand(states)
        now = time.monotonic()
        took = now - self._last[stage] if stage in self._last else None
        self._last[stage] = now
        latest = [s.history[-1] for s in states if s.history]
        options = self._options
        most = options.last_iterations if stage is Stage.LAST else options.full_iterations
        # A coarse iteration is followed by as many with all pixels.
        left = most - done + (0 if stage is Stage.LAST else options.last_iterations)
        left += most / COARSE_COST if stage is Stage.COARSE else 0
        settled = "settled there" if stage is Stage.COARSE else "converged"
        rest = "" if took is None else f", {took:.1f} s, at most {duration(took * left)} left"
        self._work.tick(
            f"{stage} iteration {done} of at most {most},"
            f" {sum(s.converged for s in states)} of {len(states)} runs {settled},"
            f" {100 * np.mean([h.switched for h in latest]):.1f} % switched class,"
            f" log-likelihood {np.mean([h.log_likelihood for h in latest]):.4f}"
            f" per particle{rest}",
            last=stage is Stage.LAST and done == most,
        )
        # Before the checkpoint: a job that resumes does not come by here again.
        if self._iterations:
            self._iterations(states)
        self._checkpoint.save(states)


def judging_progress(work: Job, params: Any) -> Callable[[Sequence[RunState]], None]:
    """Says how far the classification of each half-set alone is.

    Each half is classified from random starts and once more from its variability, unless that or
    maps are asked for.
    """
    fits = 2 if params.options["initial"] in ("variability", "components", "input") else 4
    stages = 2 if params.options["start_resolution"] else 1
    stages += params.options["last_iterations"] > 0
    most = params.options["full_iterations"]
    at = {"stage": 0, "done": most + 1}
    pace: list[float] = []  # seconds of each iteration but the first of a part: that one compiles
    last = time.monotonic()

    def progress(states: Sequence[RunState]) -> None:
        nonlocal last
        stage, done = stand(states)
        now = time.monotonic()
        begun = done < at["done"]  # the next stage, or the next fit
        if begun:
            at["stage"] += 1
        elif done > at["done"]:
            pace.append((now - last) / (done - at["done"]))
        at["done"], last = done, now
        left = fits * stages * most - (at["stage"] - 1) * most - done
        rest = f", at most {duration(float(np.mean(pace)) * left)} left" if pace else ""
        work.tick(
            f"half-sets alone, part {at['stage']} of at most {fits * stages}:"
            f" {stage} iteration {done} of at most {most}{rest}",
            # What follows may compile for a while.
            every=2.0 if begun else EVERY,
        )

    return progress
