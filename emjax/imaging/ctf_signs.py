"""Whether the signs of the images' CTFs are those of the model: a test on maps beyond its zeros."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.imaging.maps import back_project, solve_map
from emjax.imaging.particles import CHUNK, Particles, chunks, contrast

MOST = 4000  # particles looked at
NEGATIVE = 0.1  # share of pixels of a shell with a CTF below 0 from which the shell says anything
SURE = 3.5  # standard errors; noise alone gives 0.6


@dataclass(frozen=True)
class CtfSigns:
    """FSC of half-maps, mean over the shells beyond the first zeros of the CTFs."""

    given: float  # signs as the model has them
    flipped: float  # all phases turned where the model's CTF is below 0
    gain: float  # of flipping, in standard errors of a shell's FSC, summed over √shells
    zeros: float  # power of the images where the CTF is nearly 0, relative to where it is large

    @property
    def wrong(self) -> bool:
        """Whether the other signs are right: half-maps agree better with them."""
        return self.gain > SURE

    @property
    def multiplied(self) -> bool:
        """Whether the images seem to be multiplied by their CTF: nothing is left at its zeros."""
        return self.zeros < 0.3


def compare_signs(
    particles: Particles, mask: Float[np.ndarray, "d d d"], point_group: str = "C1"
) -> CtfSigns | None:
    """Half-maps with the CTFs' signs and with all images' phases flipped; None where no shell says.

    Args:
        particles: whitened; the first few thousand that count are looked at.
        mask: soft, on their box.
        point_group: in RELION's axes.
    """
    rows = np.flatnonzero(particles.weight > 0)
    rows = np.concatenate([rows[particles.half[rows] == h][: MOST // 2] for h in (1, 2)])
    if len(np.unique(particles.half[rows])) < 2:
        return None
    part = particles.take(np.sort(rows))
    grid, shells = part.grid, np.asarray(part.grid.pixel_shells)
    negative, power = np.zeros(grid.n_shells), np.zeros((2, grid.n_shells))
    turned, counts = np.empty_like(part.images), np.zeros((2, grid.n_shells))
    for few in chunks(part.n, CHUNK):
        one = part.subset(few)
        values = np.asarray(contrast(one.ctf.undamped, grid, np.float32(part.extent)))
        turned[few] = part.images[few] * np.where(values < 0, np.float32(-1), np.float32(1))
        negative += np.bincount(shells, (values < 0).sum(0), grid.n_shells)
        for place, which in enumerate((np.abs(values) < 0.1, np.abs(values) > 0.7)):
            own = np.sum(np.abs(part.images[few]) ** 2 * which, 0)
            power[place] += np.bincount(shells, own, grid.n_shells)
            counts[place] += np.bincount(shells, which.sum(0), grid.n_shells)
    pixels = part.n * np.bincount(shells, minlength=grid.n_shells)
    # Shells beyond the highest frequency are filled in part only.
    within = np.arange(grid.n_shells) <= particles.radius
    used = (negative > NEGATIVE * np.maximum(pixels, 1)) & (pixels > 0) & within
    if not used.any():
        return None
    curves = []
    for images in (part.images, turned):
        sums = back_project(replace(part, images=images), grid, point_group)
        fsc = np.asarray(solve_map(*sums, jnp.asarray(mask), grid)[2])
        curves.append(np.clip(np.nan_to_num(fsc[used]), -0.999, 0.999))
    size = np.bincount(np.asarray(grid.voxel_shells), minlength=grid.n_shells)[used]
    # Voxels under a mask are not independent: as many as the mask's share of the box.
    independent = np.maximum(size * float(np.mean(np.asarray(mask) ** 2)), 1)
    variance = sum((1 - fsc**2) ** 2 for fsc in curves) / independent
    gain = np.sum((curves[1] - curves[0]) / np.sqrt(variance)) / np.sqrt(used.sum())
    level = power[:, used].sum(1) / np.maximum(counts[:, used].sum(1), 1)
    given, flipped = (float(np.average(fsc, weights=size)) for fsc in curves)
    known = counts[:, used].sum(1).all()
    zeros = float(level[0] / max(level[1], 1e-30)) if known else 1.0
    return CtfSigns(given, flipped, float(gain), zeros)
