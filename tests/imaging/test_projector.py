"""Central slices and their adjoints."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from emjax.imaging.grids import (
    add_friedel_mates,
    gridding,
    half_spectra,
    make_grid,
    spectra_to_pixels,
    to_fourier,
)
from emjax.imaging.projector import (
    empty_table,
    insert_images,
    insert_slices,
    insert_weights,
    make_slices,
    slice_volume,
    table_rows,
)

GRID = make_grid(16, 5)
# Compiled whole: an operation at a time takes seconds to compile.
make_slices, slice_volume = eqx.filter_jit(make_slices), eqx.filter_jit(slice_volume)
insert_slices, insert_weights = eqx.filter_jit(insert_slices), eqx.filter_jit(insert_weights)
to_fourier, add_friedel_mates = eqx.filter_jit(to_fourier), eqx.filter_jit(add_friedel_mates)
# Views along the axes have points on the plane x = 0 and on grid points.
AXES = Rotation.from_euler("ZYZ", [[0, 0, 0], [0, 90, 0], [90, 90, 0], [0, 180, 30]], degrees=True)


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def poses(seed: int) -> jnp.ndarray:
    random = Rotation.random(6, random_state=seed)
    return jnp.asarray(np.concatenate([AXES.as_matrix(), random.as_matrix()]))


def complex_normal(rng: np.random.Generator, shape) -> jnp.ndarray:
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


@given(st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_insertion_is_the_adjoint_of_slicing(seed):
    """⟨slice v, x⟩ = ⟨v, insert x⟩ for real volumes v; rows on the plane x = 0 count half."""
    rng = np.random.default_rng(seed)
    volume = jnp.asarray(rng.normal(size=(16, 16, 16)))
    v, slices = to_fourier(volume, GRID), make_slices(poses(seed), GRID)
    x = complex_normal(rng, slices.folded.shape)
    left = jnp.sum(jnp.real(slice_volume(v, slices) * x.conj()))
    inserted = add_friedel_mates(insert_slices(x, slices, len(GRID.kxyz)), GRID)
    weights = jnp.where(GRID.kxyz[:, 0] == 0, 0.5, 1.0)
    right = jnp.sum(weights * jnp.real(v * inserted.conj()))
    assert float(left) == pytest.approx(float(right), rel=1e-12)


def test_insertion_is_what_differentiation_gives():
    rng = np.random.default_rng(0)
    slices = make_slices(poses(0), GRID)
    x = complex_normal(rng, slices.folded.shape)
    values = complex_normal(rng, len(GRID.kxyz))

    def product(real, imaginary):
        return jnp.sum(jnp.real(slice_volume(jax.lax.complex(real, imaginary), slices) * x.conj()))

    real, imaginary = jax.grad(product, (0, 1))(values.real, values.imag)
    expected = insert_slices(x, slices, len(GRID.kxyz))
    np.testing.assert_allclose(real + 1j * imaginary, expected, atol=1e-12)


def test_weights_sum_to_one_and_are_inserted_whole():
    slices = make_slices(poses(3), GRID)
    np.testing.assert_allclose(slices.weights.sum(-1), 1, atol=1e-12)
    assert float(slices.weights.min()) >= 0
    inserted = insert_weights(jnp.ones(slices.folded.shape), slices, len(GRID.kxyz))
    assert float(inserted.sum()) == pytest.approx(slices.folded.size)


def test_images_insert_as_slices_and_weights_do():
    grid = make_grid(32, 5, 2)
    rng = np.random.default_rng(1)
    rotations = poses(1)
    images = complex_normal(rng, (len(rotations), len(grid.kx)))
    weights = jnp.asarray(rng.normal(size=images.shape))
    with jax.enable_x64(False):
        single = (images.astype(jnp.complex64), weights.astype(jnp.float32))
        table = insert_images(empty_table(grid), *single, rotations.astype(jnp.float32), grid)
        numerator, denominator = table_rows(table, grid)
    slices = make_slices(rotations, grid)
    # Sums of float32, of points that lie on a cell's border and may fall to either side of it.
    expected = insert_slices(images * weights, slices, len(grid.kxyz))
    np.testing.assert_allclose(
        add_friedel_mates(numerator, grid), add_friedel_mates(expected, grid), atol=2e-5
    )
    expected = insert_weights(weights**2, slices, len(grid.kxyz))
    np.testing.assert_allclose(
        add_friedel_mates(denominator, grid), add_friedel_mates(expected, grid), atol=2e-5
    )


def blobs(d: int, points: np.ndarray, width: float) -> np.ndarray:
    """Gaussians at points x, y, z in voxels from the centre."""
    axis = np.arange(d) - d // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    grid = np.stack([x, y, z], -1)
    return sum(np.exp(-((grid - p) ** 2).sum(-1) / (2 * width**2)) for p in points)


@pytest.mark.parametrize("box_size", [32, 33])
def test_slices_are_transforms_of_projections_at_rzryrz(box_size):
    """Projections of Gaussians are known exactly: at A·(x, y, z), summed along z."""
    rng = np.random.default_rng(2)
    points, width = rng.uniform(-3, 3, (5, 3)), 1.5
    angles = np.array([[20.0, 50.0, 110.0], [-70.0, 130.0, 15.0], [0.0, 0.0, 0.0]])

    def rz(a):
        return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])

    def ry(a):
        return np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])

    rotations = np.stack([rz(p) @ ry(t) @ rz(r) for r, t, p in np.radians(angles)])
    scipy = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(rotations, scipy, atol=1e-12)
    grid = make_grid(box_size, 11)
    volume = blobs(box_size, points, width) / gridding(box_size)
    slices = make_slices(jnp.asarray(rotations), grid)
    found = np.asarray(slice_volume(to_fourier(jnp.asarray(volume), grid), slices))
    axis = np.arange(box_size) - box_size // 2
    for a, pixels in zip(rotations, found, strict=True):
        at = points @ a.T
        image = sum(
            np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * width**2)) for x, y, _ in at
        )
        spectra = half_spectra(image[None] * width * np.sqrt(2 * np.pi))
        expected = spectra_to_pixels(spectra, grid.kx, grid.ky)[0]
        # Trilinear interpolation without padding, of a particle within 0.6 of the box.
        assert np.linalg.norm(pixels - expected) < 0.05 * np.linalg.norm(expected)
