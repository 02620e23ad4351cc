"""What a batch of em3d runs says and saves while it runs."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import RunFolder
from emjax.campaign.job import EVERY, Job, duration
from emjax.classify.classification import Record
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Stage
from emjax.io.files import write_tsv
from emjax.io.mrc.volume import write_volume
from emjax.jobs.checkpoint import Checkpoint
from emjax.jobs.prepared import Prepared

# Of metrics.tsv, before the classes' sizes.
COLUMNS = (
    "iteration",
    "stage",
    "particles",
    "log_likelihood",
    "class_similarity",
    "switched",
    "rms_change",
)
COARSE_COST = 0.5  # of an iteration with half of the pixels, beside one with all


def stand(states: Sequence[RunState]) -> tuple[Stage, int]:
    """The stage that all runs are in, and its iterations done by the one that is farthest."""
    stage = states[0].stage
    return stage, max(s.done for s in states)


class Iterations:
    """What each iteration of the runs found, seen while they run: `runs/<run>/iterations/`.

    metrics.tsv holds one row per iteration; maps and classes are written where they are asked for.
    Snakemake does not know these files: it would remove declared ones of a job that fails, and one
    that resumes does not repeat its first iterations.
    """

    def __init__(self, folders: Mapping[Run, RunFolder], prepared: Prepared, maps: bool) -> None:
        """The runs' folders; `maps`, whether maps and classes are wanted too."""
        self._folders, self._prepared, self._maps = folders, prepared, maps
        self._written: set[tuple[Run, int]] = set()
        self._cost, self._saved = 0.0, -1e9

    def remove(self) -> None:
        """Forget those of an earlier computation."""
        for folder in self._folders.values():
            shutil.rmtree(folder.iterations, ignore_errors=True)

    def __call__(self, states: Sequence[RunState]) -> None:
        """Write what each run has newly found."""
        for state in states if self._maps else ():
            done = (state.run, state.iteration)
            if done not in self._written and state.history[-1].stage is not Stage.ONLINE:
                self._written.add(done)
                self._write_maps(state)
        # The tables must not take more than a tenth of the time.
        start = time.monotonic()
        if start - self._saved > 10 * self._cost:
            for state in states:
                self.tabulate(state.run, state.history)
            self._saved = time.monotonic()
            self._cost = self._saved - start

    def tabulate(self, run: Run, history: Sequence[Record]) -> None:
        """Write a run's iterations, one row for each."""
        write_tsv(self._folders[run].iterations / "metrics.tsv", iteration_table(history))

    def _write_maps(self, state: RunState) -> None:
        folder, particles = self._folders[state.run].iterations, self._prepared.particles
        start = f"iteration_{state.iteration:03d}"
        # Coarse iterations have fewer and larger voxels.
        voxel_size = particles.extent / state.volumes.shape[-1]
        for k, volume in enumerate(state.volumes):
            write_volume(folder / f"{start}_class_{k + 1:03d}.mrc", volume, voxel_size)
        numbers = self._prepared.for_everyone(state.labels + 1, 0.0)
        classes = {"identity": self._prepared.everyone.identity, "class": numbers}
        write_tsv(folder / f"{start}_classes.tsv", pd.DataFrame(classes))


def iteration_table(history: Sequence[Record]) -> pd.DataFrame:
    """One row per iteration: what it changed, and particles of each class by label."""
    rows = []
    for plain in (record.to_dict() for record in history):
        sizes = {f"class_{k:03d}": size for k, size in enumerate(plain["class_sizes"], 1)}
        rows.append({name: plain[name] for name in COLUMNS} | sizes)
    return pd.DataFrame(rows)


class Progress:
    """Says an iteration in one line and saves where the runs stand."""

    def __init__(
        self,
        work: Job,
        options: Em3dOptions,
        checkpoint: Checkpoint,
        iterations: Iterations,
    ) -> None:
        """The clock starts now."""
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
