"""Preparation of images aligned in their plane: cropped and whitened, without any map."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from emjax.imaging.bad_images import BadImages, check_number
from emjax.imaging.crop import crop_images, grid_for
from emjax.imaging.grids import real_transforms
from emjax.imaging.inplane import upright_images
from emjax.imaging.noise import steady_power
from emjax.imaging.particles import CHUNK, Particles, chunks, cropped_particles
from emjax.imaging.prepare import AlignedImages, to_shells, whiten
from emjax.imaging.residuals import count_pixels

LEAST_NOISE = 0.02  # of the power of a shell; images without noise are not divided by nothing


class PreparedImages(NamedTuple):
    """Centred, whitened images, the power they had, and those that are left out."""

    particles: Particles
    noise_power: Float[np.ndarray, "g s"]  # by group and shell, up to Nyquist
    bad_images: BadImages


def prepare_images(
    images: AlignedImages,
    filter_resolution: float,
    phase_flip: bool,
    bad_images: str,
    out: Complex[np.ndarray, "n p"],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreparedImages:
    """Crop and centre images aligned in 2D, and whiten them by what differs between them.

    The noise of a shell is the power of the upright images less that of their mean.

    Args:
        images: with their alignment.
        filter_resolution: Å.
        phase_flip: whether the mean is that of images with phases flipped.
        bad_images: `drop`, or `error` where none may be bad.
        out: array to fill.
        progress: called with particles done and in all.

    Raises:
        InputError: for more bad images than there may be.
    """
    n, box_size, pixel_size = images.n, images.box_size, images.pixel_size
    grid = grid_for(box_size, pixel_size, filter_resolution)
    group = np.zeros(n, np.int32) if images.group is None else images.group
    power, bad = crop_images(
        images.read, images.shifts, group, pixel_size, grid, out, progress, images.undo
    )
    check_number(bad, n, images.name, bad_images)
    weight = np.ones(n, np.float32)
    weight[bad.rows] = 0
    particles = cropped_particles(
        out, images.rotations, images.ctf, np.ones(n, np.int8), group, box_size, pixel_size,
        grid.radius, weight=weight,
    )  # fmt: skip
    noise = to_shells(power, grid.n_shells)
    noise *= 1 - _common_share(particles, phase_flip)
    noise = np.maximum(steady_power(noise, count_pixels(particles, grid)), 1e-30)
    particles = replace(particles, noise_power=noise.astype(np.float32))
    whiten(particles, np.sqrt(2 / particles.noise_power))
    full = power.copy()
    full[:, : grid.n_shells] = noise[:, : full.shape[1]]
    return PreparedImages(particles, full, bad)


def _common_share(particles: Particles, phase_flip: bool) -> Float[np.ndarray, "g s"]:
    """How much of each group's power by shell is that of the mean of all upright images."""
    grid, size = particles.grid, particles.box_size
    total = np.zeros((size, size))
    power = np.zeros((len(particles.noise_power), grid.n_shells))
    frequency = np.fft.fftfreq(size) * size, np.fft.rfftfreq(size) * size
    shells = np.round(np.hypot(frequency[0][:, None], frequency[1])).astype(int)
    inside = shells < grid.n_shells

    def by_shell(images: np.ndarray) -> np.ndarray:
        spectra = np.abs(real_transforms(images)) ** 2
        summed = spectra.sum(0)[inside]
        return np.bincount(shells[inside], summed, grid.n_shells)

    used = np.flatnonzero(particles.weight > 0)
    for rows in chunks(len(used), CHUNK):
        part = particles.subset(used[rows])
        upright = upright_images(part, phase_flip)
        total += upright.sum(0, dtype=np.float64)
        for g in np.unique(part.group):
            power[g] += by_shell(upright[part.group == g])
    members = np.bincount(particles.group[used], minlength=len(power))
    mean = by_shell((total / max(len(used), 1))[None])
    share = mean / np.maximum(power / np.maximum(members, 1)[:, None], 1e-30)
    return np.clip(share, 0, 1 - LEAST_NOISE)
