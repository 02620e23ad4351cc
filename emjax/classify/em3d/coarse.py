"""The first iterations without the finest frequencies.

Noise is strongest where the pixels are finest, and it is there that first maps from random
particles differ most. Half of the pixels find the classes from more seeds, and all pixels then
refine them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import check_given
from emjax.classify.em3d.state import Run, RunState, Scene, Stage
from emjax.classify.operators.passes import Engine
from emjax.errors import OptionError
from emjax.imaging.grids import resample, resample_all
from emjax.imaging.maps import lowpass
from emjax.imaging.masks import resample_mask

LEAST_SHELLS = 8  # fewer are not worth a stage of their own


@dataclass(frozen=True)
class Setup:
    """The particles and what all runs share, at the same frequencies."""

    engine: Engine
    scene: Scene


def coarse_setup(whole: Setup, options: Em3dOptions) -> Setup | None:
    """Where `start_resolution` puts the first iterations; None where it leaves nothing out.

    Raises:
        OptionError: where the resolution is not between those of the filters.
    """
    engine, scene = whole.engine, whole.scene
    extent, lowest = engine.particles.extent, engine.lowest_frequency
    radius = start_radius(options.start_resolution, extent, engine.grid.radius, lowest)
    if radius is None:
        return None
    engine.forget_blocks()  # theirs make room
    coarser = engine.coarser(radius)
    box_size = coarser.grid.box_size
    mean = resample(np.asarray(_lowpass(scene.mean_map, whole, radius)), box_size)
    masks = (scene.solvent_mask, scene.focus_mask)
    solvent, focus = (resample_mask(np.asarray(mask), box_size) for mask in masks)
    return Setup(coarser, Scene(*map(jnp.asarray, (mean, solvent, focus))))


def _lowpass(volume: Float[Array, "d d d"], whole: Setup, radius: int) -> Float[Array, "d d d"]:
    """The volume up to the frequencies that slices up to a radius touch: one shell more."""
    return lowpass(volume[None], whole.engine.grid, jnp.float32(radius + 1.5))[0]


def start_radius(
    start_resolution: float | str | None, extent: float, highest: int, lowest: float
) -> int | None:
    """The highest frequency of the first iterations in Fourier pixels; None for all of them.

    Args:
        start_resolution: in Å; auto, half of the pixels; None, off.
        extent: length of the box in Å.
        highest: frequency that the particles have.
        lowest: frequency that is not ignored.

    Raises:
        OptionError: where the resolution is not between those of the filters.
    """
    if start_resolution is None:
        return None
    if isinstance(start_resolution, str):
        half_of_pixels = int(((highest**2 + lowest**2) / 2) ** 0.5)
        return half_of_pixels if half_of_pixels - lowest >= LEAST_SHELLS else None
    radius = int(extent / start_resolution + 1e-6)
    least = max(int(lowest) + 1, 4)
    if not least <= radius < highest:
        raise OptionError(
            "start_resolution",
            f"{start_resolution:g} Å",
            f"coarser than the filter's {extent / highest:.1f} Å and at most"
            f" {extent / least:.1f} Å",
        )
    return radius


def coarsen_maps(
    given: dict[Run, np.ndarray] | None, whole: Setup, coarse: Setup
) -> dict[Run, np.ndarray]:
    """First maps of the runs, checked, on the coarse box."""
    return {
        run: resample_all(
            np.asarray(check_given(maps, run, whole.scene)), coarse.engine.grid.box_size
        )
        for run, maps in (given or {}).items()
    }


def to_all_frequencies(states: Sequence[RunState], coarse: Setup, whole: Setup) -> list[RunState]:
    """Runs continued from the maps found without the finest frequencies, with the mean map's."""
    mean = whole.scene.mean_map * whole.scene.solvent_mask
    finest = np.asarray(mean - _lowpass(mean, whole, coarse.engine.grid.radius))
    return [
        replace(
            state,
            volumes=resample_all(state.volumes, whole.engine.grid.box_size) + finest,
            converged=False,
            stage=Stage.FULL,
        )
        for state in states
    ]
