"""Directions from which particles are seen, and what of Fourier space these leave empty."""

import numpy as np
from jaxtyping import Bool, Float

_DIRECTIONS = 1000  # on half a sphere, where Fourier space is looked at
_PORTION = 2000  # views at a time: most directions are met by the first ones


def view_directions(rotations: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3"]:
    """Direction of the beam in the frame of the map, for each particle."""
    return rotations[:, 2]


def empty_share(
    rotations: Float[np.ndarray, "n 3 3"], radius: int, symmetry: Float[np.ndarray, "g 3 3"]
) -> float:
    """Share of a shell of Fourier space that no central slice comes near, 0 … 1.

    Args:
        rotations: poses.
        radius: of the shell in Fourier pixels; a slice reaches one to either side.
        symmetry: rotations of the point group.
    """
    views = np.unique((2e3 * view_directions(rotations)).round(), axis=0) / 2e3
    views = np.random.default_rng(0).permutation(views)
    directions = _half_sphere(_DIRECTIONS)
    empty = np.ones(_DIRECTIONS, bool)
    for start in range(0, len(views), _PORTION):
        part = views[start : start + _PORTION]
        empty[empty] = _missed(directions[empty], part, 1 / radius, symmetry)
        if not empty.any():
            break
    return float(empty.mean())


def _missed(
    directions: Float[np.ndarray, "d 3"],
    views: Float[np.ndarray, "v 3"],
    reach: float,
    symmetry: Float[np.ndarray, "g 3 3"],
) -> Bool[np.ndarray, " d"]:
    missed = np.ones(len(directions), bool)
    for rotation in symmetry:
        missed[missed] = (np.abs(directions[missed] @ rotation @ views.T) > reach).all(1)
    return missed


def _half_sphere(n: int) -> Float[np.ndarray, "n 3"]:
    """Directions spread evenly (Fibonacci's spiral)."""
    z = (np.arange(n) + 0.5) / n
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], 1)


def most_common(values: Float[np.ndarray, "n m"], step: float) -> tuple[int, int]:
    """Row of the value that most rows have, and how many do, to a step."""
    keys = np.round(values / step).astype(np.int64) + 0  # no −0
    _, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    best = int(np.argmax(counts))
    return int(first[best]), int(counts[best])


def number_of_views(rotations: Float[np.ndarray, "n 3 3"], share: float, step: float) -> int:
    """How many directions, to a step and whichever way, hold a share of the particles."""
    views = view_directions(rotations)
    # Against the beam is the same view, mirrored.
    views = views * np.where(_last_sign(views, step) < 0, -1, 1)[:, None]
    counts = np.unique(np.round(views / step) + 0.0, axis=0, return_counts=True)[1]
    return int(np.searchsorted(np.cumsum(np.sort(counts)[::-1]), share * len(views)) + 1)


def _last_sign(views: Float[np.ndarray, "n 3"], step: float) -> Float[np.ndarray, " n"]:
    """Sign of the last component that is not zero."""
    x, y, z = np.sign(np.round(views / step)).T
    return np.where(z != 0, z, np.where(y != 0, y, x))
