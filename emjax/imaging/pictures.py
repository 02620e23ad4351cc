"""Prepared particles as pictures, beside what a map predicts of them."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.grids import FourierGrid, pixels_to_images
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import Particles, contrast, weights_of
from emjax.imaging.projector import fold, make_slices


def predict_pixels(
    particles: Particles,
    volumes: Sequence[Float[np.ndarray, "d d d"]],
    own: Int[np.ndarray, " n"] | None = None,
) -> Complex[np.ndarray, "n p"]:
    """Whitened pixels of volumes at the particles' poses, with their CTFs, at intensity scale 1.

    Args:
        particles: few; all of their slices are in memory at once.
        volumes: on the cropped box, masked.
        own: which of them each particle shows; the first where None.
    """
    grid = particles.grid
    own = np.zeros(particles.n, np.int32) if own is None else own
    weights = weights_of(replace(particles, scale=np.ones(particles.n, np.float32)), grid)
    values = jnp.stack([slicing_values(jnp.asarray(v, jnp.float32), grid) for v in volumes])
    return np.asarray(weights * _slice_own(values, own, particles.rotations, grid))


@jax.jit
def _slice_own(
    values: Complex[Array, "m v"],
    own: Int[Array, " n"],
    rotations: Float[Array, "n 3 3"],
    grid: FourierGrid,
) -> Complex[Array, "n p"]:
    slices = make_slices(rotations, grid)
    gathered = jnp.sum(values[own[:, None, None], slices.voxels] * slices.weights, -1)
    return fold(gathered, slices)


def wiener_gain(
    predicted: Complex[np.ndarray, "n p"], particles: Particles
) -> Float[np.ndarray, "n p"]:
    """Wiener filter C·R / (1 + C²·R) of each particle's CTF C, R the SSNR without it by shell.

    R is the mean of all particles: a filter by each image's own prediction would show that
    prediction in any noise.

    Source: Penczek, Methods Enzymol. 482 (2010) 73.
    """
    grid = particles.grid
    shells = np.asarray(grid.pixel_shells)
    ctf = np.asarray(contrast(particles.ctf, grid, np.float32(particles.extent)))
    # Of variance 1 in both parts, the noise has power 2.
    power = np.bincount(shells, np.sum(np.abs(predicted) ** 2, 0)) / 2
    ratio = power / np.maximum(np.bincount(shells, np.sum(ctf**2, 0)), 1e-20)
    return ctf * ratio[shells] / (1 + ctf**2 * ratio[shells])


def draw_pixels(
    pixels: Complex[np.ndarray, "n p"],
    particles: Particles,
    gain: Float[np.ndarray, "n p"],
    box_size: int,
) -> Float[np.ndarray, "n b b"]:
    """Whitened pixels as filtered real images in the units of the stack.

    Args:
        pixels: of the particles, or predicted ones.
        particles: whose noise they were whitened with.
        gain: of each particle and pixel.
        box_size: pixels of the images, over the same extent; what lies beyond Nyquist is left out.
    """
    grid = particles.grid
    noise = np.sqrt(particles.noise_power / 2)[:, np.asarray(grid.pixel_shells)]
    kx, ky = np.asarray(grid.kx), np.asarray(grid.ky)
    inside = np.maximum(np.abs(kx), np.abs(ky)) < box_size / 2
    values = (pixels * noise[particles.group] * gain)[:, inside].astype(np.complex64)
    shown = pixels_to_images(
        jnp.asarray(values), jnp.asarray(kx[inside]), jnp.asarray(ky[inside]), box_size
    )
    return np.asarray(shown) * (box_size / particles.stack_box_size) ** 2
