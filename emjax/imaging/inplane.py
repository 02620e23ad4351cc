"""Rotation of images in their plane."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emjax.imaging.grids import pixels_to_images
from emjax.imaging.particles import Particles, chunks, contrast


def inplane_angles(rotations: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, " n"]:
    """In-plane angle of poses in radians: rotating the image by it leaves a pose of psi = 0.

    With A = Rz(psi)·Ry(tilt)·Rz(rot) in RELION's sense. Where the tilt is 0, as in 2D
    classification, rot and psi are one angle, and all of it is in the plane.
    """
    tilted = np.hypot(rotations[:, 0, 2], rotations[:, 1, 2]) > 1e-4
    # A·(0, 0, 1) = (−sin tilt · cos psi, sin tilt · sin psi, cos tilt)
    psi = np.arctan2(rotations[:, 1, 2], -rotations[:, 0, 2])
    flat = np.arctan2(rotations[:, 0, 1], rotations[:, 0, 0])
    return np.where(tilted, psi, flat)


def finer_sampling(images: Float[Array, "k d d"]) -> Float[Array, "k e e"]:
    """Twofold finer sampling by padding the transform; pixel x comes to lie at 2x."""
    box_size = images.shape[-1]
    spectrum = jnp.fft.fftshift(jnp.fft.fft2(images), (1, 2))
    before = box_size - box_size // 2
    pad = ((0, 0), (before, box_size - before), (before, box_size - before))
    padded = jnp.fft.ifftshift(jnp.pad(spectrum, pad), (1, 2))
    return 4 * jnp.fft.ifft2(padded).real


def rotate_finer(fine: Float[Array, "*b e e"], angle: Float[Array, "*b"]) -> Float[Array, "*b d d"]:
    """Images rotated about their centre pixel, read bilinearly from their `finer_sampling`.

    The value at x comes from R·x with R = [[cos, −sin], [sin, cos]] on (y, x).
    """
    box_size = fine.shape[-1] // 2
    offset = jnp.arange(box_size) - box_size // 2
    y, x = jnp.meshgrid(offset, offset, indexing="ij")
    cosine, sine = jnp.cos(angle)[..., None, None], jnp.sin(angle)[..., None, None]
    centre = 2 * (box_size // 2)
    rows = centre + 2 * (cosine * y - sine * x)
    columns = centre + 2 * (sine * y + cosine * x)

    def sample(image: Array, row: Array, column: Array) -> Array:
        return jax.scipy.ndimage.map_coordinates(image, [row, column], order=1)

    for _ in angle.shape:
        sample = jax.vmap(sample)
    return sample(fine, rows, columns)


@jax.jit
def rotate_upright(
    images: Float[Array, "n d d"], angles: Float[Array, " n"]
) -> Float[Array, "n d d"]:
    """Images rotated by their `inplane_angles`, so that those of one view coincide."""
    return rotate_finer(finer_sampling(images), angles)


def upright_images(
    particles: Particles,
    phase_flip: bool,
    filters: Float[np.ndarray, "g s"] | None = None,
    rows_at_once: int = 512,
) -> Float[np.ndarray, "n d d"]:
    """Real-space images rotated by their in-plane pose, phases flipped where the CTF is below 0.

    Args:
        particles: with their images.
        phase_flip: whether phases are flipped.
        filters: factors of each group's Fourier pixels by shell; None, 1.
        rows_at_once: images at a time.
    """
    grid, box_size = particles.grid, particles.box_size
    out = np.empty((particles.n, box_size, box_size), np.float32)
    angles, shells = inplane_angles(particles.rotations), np.asarray(grid.pixel_shells)
    angles = angles.astype(np.float32)
    for rows in chunks(particles.n, rows_at_once):
        part = particles.take(rows)
        pixels = jnp.asarray(part.images)
        if phase_flip:
            pixels = pixels * jnp.sign(contrast(part.ctf, grid, jnp.float32(part.extent)))
        if filters is not None:
            pixels = pixels * jnp.asarray(filters[:, shells][part.group], jnp.float32)
        images = pixels_to_images(pixels, grid.kx, grid.ky, box_size)
        out[rows] = rotate_upright(images, jnp.asarray(angles[rows]))
    return out
