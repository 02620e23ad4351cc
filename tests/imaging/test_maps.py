"""Maps from sums over particles, and the low-pass of maps."""

import jax.numpy as jnp
import numpy as np
import pytest

from emjax.imaging.grids import make_grid, to_fourier, to_real
from emjax.imaging.maps import lowpass, solve_map

GRID = make_grid(20, 7)


def white() -> np.ndarray:
    """White noise within the voxels of the grid."""
    noise = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    return np.asarray(to_real(to_fourier(jnp.asarray(noise), GRID), GRID))


@pytest.mark.parametrize("radius", [3, 4.5])
def test_lowpass_keeps_what_lies_inside_the_radius(radius):
    before = np.asarray(to_fourier(jnp.asarray(white()), GRID))
    found = np.asarray(to_fourier(lowpass(jnp.asarray(white()), GRID, jnp.float32(radius)), GRID))
    inside = (np.asarray(GRID.kxyz) ** 2).sum(1) <= radius**2
    # Float32 transforms of 8000 voxels.
    np.testing.assert_allclose(found[inside], before[inside], atol=1e-3)
    np.testing.assert_allclose(found[~inside], 0, atol=1e-3)


@pytest.mark.parametrize("fsc_filter", [True, False])
def test_equal_halves_give_back_their_map_where_it_was_measured(fsc_filter):
    """Without noise the filter leaves all but the prior of a thousandth."""
    truth = to_fourier(jnp.asarray(white()), GRID)
    weight = jnp.full(len(GRID.kxyz), 3.0)
    sums = jnp.stack([truth * weight] * 2), jnp.stack([weight] * 2)
    volume, halves, fsc = solve_map(*sums, jnp.ones((20, 20, 20)), GRID, fsc_filter)
    for found in (volume, *halves):
        values = np.asarray(to_fourier(found * jnp.asarray(_window()), GRID))
        np.testing.assert_allclose(values, truth, atol=2e-3 * np.abs(truth).max())
    np.testing.assert_allclose(fsc[1:8], 1, atol=1e-4)


def _window() -> np.ndarray:
    axis = np.sinc((np.arange(20) - 10) / 20) ** 2
    return axis[:, None, None] * axis[:, None] * axis
