"""Tables of sums: the compiled library adds what JAX adds."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.imaging import insertion
from emjax.imaging.grids import FourierGrid, make_grid
from emjax.imaging.projector import empty_table, insert_images

N = 12


@pytest.fixture(params=[(32, 1), (31, 1), (32, 2)], ids=["even", "odd", "padded"])
def grid(request: pytest.FixtureRequest) -> FourierGrid:
    box_size, padding = request.param
    radius = box_size // 2 - (1 if padding > 1 else 2)
    return make_grid(box_size * padding, radius, padding, pixels_only=True)


def particles(grid: FourierGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    real, imaginary, weights = rng.normal(size=(3, N, len(grid.kx))).astype(np.float32)
    rotations = Rotation.random(N, rng).as_matrix().astype(np.float32)
    return (real + 1j * imaginary).astype(np.complex64), weights, rotations


def added(grid: FourierGrid, rotations: np.ndarray) -> np.ndarray:
    images, weights, _ = particles(grid)
    table = insertion.new_table(grid)
    return np.asarray(
        insertion.add_images(table, jnp.asarray(images), jnp.asarray(weights), rotations, grid)
    )


@pytest.fixture
def _compiled():
    if not insertion.compiled():
        pytest.skip("the library for tables was not built, or JAX runs on another device")


@pytest.mark.usefixtures("_compiled")
def test_the_compiled_library_adds_what_jax_adds(grid: FourierGrid):
    images, weights, rotations = particles(grid)
    expected = np.asarray(
        insert_images(
            empty_table(grid), jnp.asarray(images), jnp.asarray(weights), jnp.asarray(rotations),
            grid,
        )
    )  # fmt: skip
    found = added(grid, rotations)
    assert isinstance(insertion.new_table(grid), np.ndarray)
    # Points on the border of a cell may fall into either one, with a weight of a rounding error.
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(added(grid, rotations), found)


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("factor", [2.5, -40.0, np.inf, np.nan])
def test_matrices_that_are_not_rotations_stay_inside_the_table(grid: FourierGrid, factor: float):
    _, weights, rotations = particles(grid)
    wrong = rotations.copy()
    with np.errstate(invalid="ignore"):
        wrong[0] *= np.float32(factor)
    found = added(grid, wrong)
    assert found.shape == empty_table(grid).shape
    if np.isfinite(factor):
        # All of each particle's weight is somewhere in the table.
        assert found[..., 2].sum() == pytest.approx(float((weights**2).sum()), rel=1e-3)


def test_without_a_compiler_jax_adds(grid: FourierGrid, monkeypatch: pytest.MonkeyPatch):
    _, _, rotations = particles(grid)
    found = added(grid, rotations)
    monkeypatch.setattr(insertion, "_library", None)
    assert not insertion.compiled() and not isinstance(insertion.new_table(grid), np.ndarray)
    np.testing.assert_allclose(added(grid, rotations), found, atol=2e-5 * np.abs(found).max())


def test_finished_sums_hold_both_halves_of_the_plane(grid: FourierGrid):
    _, _, rotations = particles(grid)
    table = added(grid, rotations)
    before = table.copy()
    plane = insertion.finished(table, "C1")[0]
    np.testing.assert_allclose(plane, plane[::-1, ::-1] * [1, -1, 1], atol=1e-5)
    np.testing.assert_allclose(
        plane[..., 2].sum(), 2 * before[0, ..., 2].astype(np.float64).sum(), rtol=1e-5
    )
