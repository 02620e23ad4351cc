"""How far the maps of two seeds agree: on the nodes, and on which particles lie near each other."""

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import adjusted_rand_score

from emjax.classify.som.grid import MapGrid

PAIRS = 100_000  # of particles, whose distances on the maps are compared


def map_agreement(
    first: Int[np.ndarray, " n"], second: Int[np.ndarray, " n"], grid: MapGrid
) -> tuple[float, float]:
    """Adjusted Rand index of the nodes, and correlation of the distances on the maps.

    The first asks for the same borders between nodes, the second for the same order of the
    particles, whichever way the maps are rotated or mirrored.

    Args:
        first: node of each particle on one map, 0-based.
        second: on the other.
        grid: of both.
    """
    n = len(first)
    a, b = np.random.default_rng(0).integers(0, n, (2, PAIRS))
    a, b = a[a != b], b[a != b]
    distances = _distances(first, a, b, grid), _distances(second, a, b, grid)
    same = all(np.ptp(d) == 0 for d in distances)
    varied = all(np.ptp(d) > 0 for d in distances)
    correlation = float(np.corrcoef(*distances)[0, 1]) if varied else float(same)
    return float(adjusted_rand_score(first, second)), correlation


def _distances(
    labels: Int[np.ndarray, " n"],
    a: Int[np.ndarray, " m"],
    b: Int[np.ndarray, " m"],
    grid: MapGrid,
) -> Float[np.ndarray, " m"]:
    """On the map, of pairs of particles; neighbours are at 1."""
    places = grid.positions[labels]
    return np.linalg.norm(places[a] - places[b], axis=1)
