"""Particle images, read in the rows that are asked for; the whole stack is never in memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emjax.errors import InputError
from emjax.io.mrc.header import read_header
from emjax.io.mrc.resample import resampling_matrix
from emjax.io.particles.particle_set import ParticleSet
from emjax.machine import give_back


class ImageStacks:
    """The images of a particle set."""

    def __init__(self, particles: ParticleSet, any_pixels: bool = False) -> None:
        """Opens no file yet; with `any_pixels` NaN and infinities are for the caller to find."""
        self._particles, self._any_pixels = particles, any_pixels
        self._open = lru_cache(maxsize=64)(lambda k: read_header(particles.stack_paths[k]).open())

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read images in the order of `rows`, particles white and of the hand of their poses.

        Args:
            rows: rows of the particle set, `[m]`; neighbours in a stack are read in one piece.

        Returns:
            float32 `[m, d, d]`, resampled to the common pixel and box size where groups differ.

        Raises:
            InputError: for an image with NaN or infinite pixels unless any may be there, or a stack
                that went away.
        """
        particles = self._particles
        rows = np.asarray(rows)
        images = np.empty((len(rows), particles.box_size, particles.box_size), np.float32)
        for stack in np.unique(particles.stack_of[rows]):
            here = np.flatnonzero(particles.stack_of[rows] == stack)
            here = here[np.argsort(particles.index_in_stack[rows[here]], kind="stable")]
            data = self._open(int(stack))
            found = np.asarray(data[_as_slice(particles.index_in_stack[rows[here]])], np.float32)
            if not self._any_pixels:
                self._check(found, rows[here])
            images[here] = self._common(found, rows[here])
            give_back(data)
        flipped = particles.mirrored[rows] == 1
        if flipped.any():
            # About the centre n // 2.
            images[flipped] = np.roll(images[flipped, :, ::-1], 1 - images.shape[2] % 2, 2)
        sign = particles.contrast[rows]
        if (sign < 0).any():
            images *= sign[:, None, None]
        return images

    def _check(self, images: np.ndarray, rows: np.ndarray) -> None:
        with np.errstate(invalid="ignore"):  # inf − inf, reported below
            good = np.isfinite(images.sum((1, 2), dtype=np.float64))
        if not good.all():
            row = int(rows[np.argmin(good)])
            path = self._particles.stack_paths[self._particles.stack_of[row]]
            place = f"image {self._particles.index_in_stack[row] + 1}"
            raise InputError(path, place, "NaN or infinite pixels", "finite pixels")

    def _common(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Images brought to the common pixel and box size."""
        particles = self._particles
        sizes = particles.image_pixel_size[rows]
        d = particles.box_size
        if images.shape[-1] == d and (sizes == particles.pixel_size).all():
            return images
        out = np.empty((len(images), d, d), np.float32)
        for size in np.unique(sizes):
            these = sizes == size
            m = resampling_matrix(images.shape[-1], float(size), d, particles.pixel_size)
            with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
                out[these] = m @ images[these] @ m.T
        return out


def _as_slice(indices: np.ndarray) -> slice | np.ndarray:
    """Consecutive indices as a slice, which memory-mapped files read without a detour."""
    if len(indices) and indices[-1] - indices[0] == len(indices) - 1:
        if (np.diff(indices) == 1).all():
            return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices
