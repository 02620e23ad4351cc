"""The first iterations without the finest frequencies.

Noise is strongest where the pixels are finest, and it is there that first maps from random
particles differ most. Classes that are found in half of the pixels first are found from more
seeds and in less time; all pixels then refine them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from emjax.classify.engine import Engine
from emjax.classify.runs import Em3dOptions, Run, RunState, Scene, make_scene
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask

LEAST_SHELLS = 8  # fewer are not worth a stage of their own


@dataclass(frozen=True)
class Stage:
    """The particles and what all runs share, at the same frequencies."""

    engine: Engine
    scene: Scene


def coarse_stage(engine: Engine, scene: Scene, options: Em3dOptions) -> Stage | None:
    """Where `start_resolution` puts the first iterations; None where it leaves nothing out.

    Raises:
        ValueError: where the resolution is not between those of the filters.
    """
    radius = _radius(engine, options)
    if radius is None:
        return None
    coarser = engine.coarser(radius)
    box_size = coarser.grid.box_size
    mean = resample(np.asarray(scene.mean_map), box_size)
    masks = (scene.solvent_mask, scene.focus_mask)
    solvent, focus = (resample_mask(np.asarray(mask), box_size) for mask in masks)
    return Stage(coarser, make_scene(mean, solvent, focus))


def _radius(engine: Engine, options: Em3dOptions) -> int | None:
    """The highest frequency of the first iterations in Fourier pixels."""
    start, highest, lowest = (
        options.start_resolution,
        engine.grid.radius,
        engine.lowest_frequency,
    )
    if start is None:
        return None
    if isinstance(start, str):
        half_of_pixels = int(((highest**2 + lowest**2) / 2) ** 0.5)
        return half_of_pixels if half_of_pixels >= LEAST_SHELLS else None
    extent = engine.particles.extent
    radius = int(extent / start + 1e-6)
    if not max(lowest, 3) < radius < highest:
        coarsest = f"{extent / max(lowest, 4):.1f}"
        raise ValueError(
            f"start_resolution: found {start:g} Å, expected between the {extent / highest:.1f} Å"
            f" of the filter and {coarsest} Å"
        )
    return radius


def coarsen_maps(
    given: dict[Run, np.ndarray] | None, stage: Stage | None
) -> dict[Run, np.ndarray] | None:
    """First maps of the runs on the stage's box."""
    if given is None or stage is None:
        return given
    return {run: _on_box(volumes, stage.engine.grid.box_size) for run, volumes in given.items()}


def to_all_frequencies(states: Sequence[RunState], box_size: int) -> list[RunState]:
    """Runs that go on with all frequencies from the maps found without the finest ones."""
    return [
        replace(s, volumes=_on_box(s.volumes, box_size), converged=False, coarse=False)
        if s.coarse
        else s
        for s in states
    ]


def _on_box(volumes: Float[np.ndarray, "k d d d"], box_size: int) -> Float[np.ndarray, "k e e e"]:
    return np.stack([resample(v, box_size) for v in volumes])
