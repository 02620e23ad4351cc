"""What a batch of em3d runs starts from, and what it says while it runs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _checkpoint import Checkpoint
from _job import Job

from emjax.classify.basis_operators import make_pixel_operators
from emjax.classify.runs import Em3dOptions, Run, RunState, Scene, make_scene
from emjax.classify.subspace_volumes import fit_variability, volumes_of
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask
from emjax.imaging.particles import Particles
from emjax.io.volume import read_volume


def read_scene(prepare: Path, focus: str | None, box_size: int, full_box: int) -> Scene:
    """Mean map and masks on the cropped box; the focus mask comes on the particles' box."""
    return make_scene(
        read_volume(prepare / "mean_map.mrc")[0],
        read_volume(prepare / "solvent_mask.mrc")[0],
        resample_mask(read_volume(focus, full_box)[0], box_size) if focus else None,
    )


def first_maps(
    runs: Sequence[Run],
    options: dict[str, Any],
    particles: Particles,
    scene: Scene,
    memory_gb: float,
) -> dict[Run, np.ndarray] | None:
    """Maps that `initial: input` and `variability` start from; the others make their own."""
    if options["initial"] == "input":
        maps = [resample(read_volume(p)[0], particles.box_size) for p in options["initial_maps"]]
        return dict.fromkeys(runs, np.stack(maps))
    if options["initial"] == "variability":
        mask = np.asarray(scene.solvent_mask * scene.focus_mask)
        operators = make_pixel_operators(particles, max_memory_gb=memory_gb)
        basis, statistics = fit_variability(operators, np.asarray(scene.mean_map), mask)
        grid = particles.grid
        return {r: volumes_of(basis, statistics, grid, r.n_classes, r.seed) for r in runs}
    return None


class Progress:
    """Tells an iteration in one line and saves where the runs stand."""

    def __init__(self, work: Job, checkpoint: Checkpoint, options: Em3dOptions) -> None:
        """The clock starts now."""
        self._work, self._checkpoint, self._options = work, checkpoint, options
        self._last = time.monotonic()

    def __call__(self, states: Sequence[RunState]) -> None:
        """After each iteration, with the states of all runs."""
        took, self._last = time.monotonic() - self._last, time.monotonic()
        done = max(sum(h["stage"] == "full" for h in s.history) for s in states)
        latest = [s.history[-1] for s in states if s.history]
        most = self._options.full_iterations
        self._work.say(
            f"iteration {done} of at most {most},"
            f" {sum(s.converged for s in states)} of {len(states)} runs converged,"
            f" {100 * np.mean([h['switched'] for h in latest]):.1f} % switched class,"
            f" log-likelihood {np.mean([h['log_likelihood'] for h in latest]):.4f} a particle,"
            f" {took:.1f} s, {took * (most - done):.0f} s left at most"
        )
        self._checkpoint.save(states)
