"""Topology of the map."""

import numpy as np
import pytest

from emjax.classify.som.grid import Layout, MapGrid
from emjax.errors import OptionError


def test_rectangular_neighbours() -> None:
    grid = MapGrid(4, 3)
    np.testing.assert_array_equal(np.flatnonzero(grid.adjacency[5]), [1, 4, 6, 9])
    np.testing.assert_array_equal(np.flatnonzero(grid.adjacency[0]), [1, 4])


def test_hexagonal_neighbours() -> None:
    grid = MapGrid(4, 4, "hexa")
    np.testing.assert_array_equal(np.flatnonzero(grid.adjacency[5]), [1, 2, 4, 6, 9, 10])
    np.testing.assert_array_equal(np.flatnonzero(grid.adjacency[9]), [4, 5, 8, 10, 12, 13])
    np.testing.assert_array_equal(np.flatnonzero(grid.adjacency[0]), [1, 4])


@pytest.mark.parametrize("layout", ["rect", "hexa"])
def test_laplacian_is_positive_and_blind_to_constants(layout: Layout) -> None:
    laplacian = MapGrid(5, 4, layout).laplacian
    np.testing.assert_array_equal(laplacian, laplacian.T)
    np.testing.assert_allclose(laplacian.sum(1), 0, atol=1e-15)
    # One connected map: a single zero eigenvalue.
    assert np.sum(np.linalg.eigvalsh(laplacian) < 1e-12) == 1


@pytest.mark.parametrize("size", [(0, 5), (1, 1), (-2, 3)])
def test_too_small_maps_are_errors(size: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="^map: found"):
        MapGrid(*size)
