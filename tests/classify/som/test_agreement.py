"""Agreement between the maps of two seeds."""

import numpy as np

from emjax.classify.som.agreement import map_agreement
from emjax.classify.som.grid import MapGrid

GRID = MapGrid(4, 4)
LABELS = np.random.default_rng(0).integers(0, 16, 500)


def test_a_rotated_and_mirrored_map_is_the_same():
    order = np.arange(16).reshape(4, 4)
    for other in (np.rot90(order), order.T, order[::-1]):
        rand, correlation = map_agreement(LABELS, other.ravel()[LABELS], GRID)
        np.testing.assert_allclose([rand, correlation], 1, atol=1e-9)


def test_a_scrambled_map_keeps_the_nodes_and_loses_the_layout():
    scrambled = np.random.default_rng(1).permutation(16)
    rand, correlation = map_agreement(LABELS, scrambled[LABELS], GRID)
    assert rand == 1 and correlation < 0.5


def test_unrelated_maps_agree_in_nothing():
    other = np.random.default_rng(2).integers(0, 16, 500)
    np.testing.assert_allclose(map_agreement(LABELS, other, GRID), 0, atol=0.05)


def test_borders_that_move_cost_the_index_more_than_the_layout():
    place = np.random.default_rng(3).uniform(0, 4, (500, 2))
    first, second = (
        np.minimum(place + shift, 3.999).astype(int) @ np.array([4, 1]) for shift in (0, 0.4)
    )
    rand, correlation = map_agreement(first, second, GRID)
    assert rand < 0.6 < 0.7 < correlation
