"""How the map of a class differs from the classes' mean, and what explains that difference."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

FLAGGED_SHARE = 0.5  # of the difference map that a nuisance explains


def differ_from_mean(
    class_volumes: Float[np.ndarray, "k d d d"],
    class_sizes: Float[np.ndarray, " k"] | Int[np.ndarray, " k"],
    mask: Float[np.ndarray, "d d d"],
) -> tuple[Float[np.ndarray, "k v"], Float[np.ndarray, "d d d"], Float[np.ndarray, " v"]]:
    """Difference of every class from the classes' mean inside the mask, that mean, and its unit.

    The mean map of all particles will not do: it was filtered otherwise than the classes' maps, and
    that difference, the same in all, outweighs those between the classes.
    """
    mean = np.tensordot(class_sizes / max(float(class_sizes.sum()), 1.0), class_volumes, 1)
    inside = mask > 0.05
    differences = (class_volumes - mean)[:, inside] * mask[inside]
    direction = mean[inside] * mask[inside]
    return differences, mean, direction / max(float(np.linalg.norm(direction)), 1e-30)


def explained_share(explained: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Energy of what is explained over that of the differences, 0 where there is none."""
    energy = (differences**2).sum(axis=1)
    energy[energy < 1e-12 * energy.max(initial=0.0)] = 0.0
    return np.divide(
        (explained**2).sum(axis=1), energy, out=np.zeros(len(energy)), where=energy > 0
    )
