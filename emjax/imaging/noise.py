"""Noise spectra and scales of particles, drawn to what all particles share."""

import numpy as np
from jaxtyping import Float

# Pixels' worth of trust in the shape that the noise of all groups shares.
COMMON_PIXELS = 50


def steady_power(
    power: Float[np.ndarray, "g s"], counts: Float[np.ndarray, "g s"]
) -> Float[np.ndarray, "g s"]:
    """Spectra drawn to the shape all groups share, the more the fewer pixels a shell holds.

    Args:
        power: mean power by group and shell.
        counts: pixels that went into it; where there are none the power stays as it is.
    """
    pixels = np.maximum(counts.sum(1, keepdims=True), 1)
    level = (counts * power).sum(1, keepdims=True) / pixels
    relative = counts * power / np.maximum(level, 1e-30)
    shape = relative.sum(0) / np.maximum(counts.sum(0), 1)
    drawn = (counts * power + COMMON_PIXELS * level * shape) / (counts + COMMON_PIXELS)
    return np.where(counts > 0, drawn, power)


def shrink_scale(
    amplitude: Float[np.ndarray, " n"],
    variance: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Per-particle scale of mean 1, pulled to 1 by how much of its spread is estimation noise.

    Args:
        amplitude: least-squares scale of each particle.
        variance: its sampling variance.
        weight: of each particle in mean and spread, 0 … 1; of all zero the scale is 1.

    Source: James & Stein (1961); the spread that is left once the noise is subtracted.
    """
    used = weight > 0
    if not used.any():
        return np.ones(len(amplitude), np.float32)
    mean = np.average(amplitude[used], weights=weight[used] / variance[used])
    relative, noise = amplitude / mean, variance / mean**2
    excess = (relative - 1) ** 2 - noise
    spread = max(np.average(excess[used], weights=weight[used] / noise[used]), 0.0)
    return np.clip(1 + (relative - 1) * spread / (spread + noise), 0.1, 4.0).astype(np.float32)
