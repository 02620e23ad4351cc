"""A molecule to audit the maps of."""

import numpy as np
from scipy.ndimage import gaussian_filter


def draw_molecule(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A ball of random density, and its mask."""
    ball = (((np.indices((24, 24, 24)) - 12) ** 2).sum(axis=0) < 81).astype(float)
    return gaussian_filter(ball * rng.random(ball.shape), 1.2), ball
