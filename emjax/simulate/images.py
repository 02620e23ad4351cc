"""Simulated 2D images of a body with a rotating domain, for tests and benchmarks."""

import numpy as np
from jaxtyping import Float


def gaussian_blobs(
    box_size: int, blobs: Float[np.ndarray, "b 4"]
) -> Float[np.ndarray, "box_size box_size"]:
    """Sum of Gaussians given as rows (y, x, width, height) about the centre pixel."""
    offset = np.arange(box_size) - box_size // 2
    image = np.zeros((box_size, box_size))
    for y, x, width, height in blobs:
        rows = np.exp(-((offset - y) ** 2) / (2 * width**2))
        columns = np.exp(-((offset - x) ** 2) / (2 * width**2))
        image += height * np.outer(rows, columns)
    return image


# Rows (y, x, width, height) in 1/64 of the box; the domain rotates about (2, 0).
_BODY = np.array(
    [[-6, -8, 4, 1.0], [4, -10, 4, 0.9], [0, -2, 4.5, 1.0], [8, -3, 3.5, 0.8], [-10, 0, 3, 0.7]]
)
_DOMAIN = np.array([[0, 6, 2, 0.8], [0, 10, 2, 0.8], [0, 14, 2, 0.8], [3, 17, 2, 0.8]])
_HINGE = np.array([0.0, 2.0])


def rotating_domain(
    n_images: int = 2000,
    box_size: int = 64,
    *,
    signal_to_noise: float = 0.1,
    span: float = 60.0,
    contrast: float = 1.0,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "n d d"], Float[np.ndarray, " n"]]:
    """One view of a body of which a domain rotates continuously in the plane.

    Args:
        n_images: number of images.
        box_size: pixels.
        signal_to_noise: variance of the signal over that of the white noise, inside the circle.
        span: range of the angle in degrees; the angles are uniform in it.
        contrast: of the domain; at 0.775 it is as hard as the set of Xmipp's own figures.
        seed: of angles and noise.

    Returns:
        The images and the angle of each in degrees.
    """
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-span / 2, span / 2, n_images)
    scale = np.array([box_size / 64] * 3 + [1.0])
    moving = _DOMAIN * np.array([1.0, 1.0, 1.0, contrast])
    body = gaussian_blobs(box_size, _BODY * scale)
    images = np.empty((n_images, box_size, box_size), np.float32)
    for i, angle in enumerate(np.deg2rad(angles)):
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        domain = moving.copy()
        domain[:, :2] = domain[:, :2] @ rotation.T + _HINGE
        images[i] = body + gaussian_blobs(box_size, domain * scale)
    offset = np.arange(box_size) - box_size // 2
    circle = np.add.outer(offset**2, offset**2) <= (box_size * 30 / 64) ** 2
    variance = np.mean(np.var(images[:, circle], axis=1, dtype=np.float64))
    noise = rng.standard_normal(images.shape, np.float32)
    return images + noise * np.float32(np.sqrt(variance / signal_to_noise)), angles
