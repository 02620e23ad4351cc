"""Slices of many volumes and their adjoint."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax.classify.operators import native, pixel_gathers, pixel_matrices, pixel_poses
from emjax.classify.operators.pixels import (
    from_table,
    make_pixel_operators,
    to_table,
)
from emjax.imaging.particles import coarsen
from tests.classify.double import make_data

needs_compiler = pytest.mark.skipif(
    not native.available(), reason="no C compiler when emjax was installed"
)


def random_table(grid, n_volumes):
    rng = np.random.default_rng(n_volumes)
    shape = (n_volumes, grid.kxyz.shape[0])
    values = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return to_table(jnp.asarray(values, jnp.complex64))


@pytest.fixture
def states():
    with jax.enable_x64(True):
        yield make_data("states")


def test_inserting_is_the_adjoint_of_slicing(states):
    particles, _, _ = states
    operators = make_pixel_operators(particles)
    rng = np.random.default_rng(0)
    for _, block in operators.blocks():
        table = jnp.asarray(rng.normal(size=(block.n_voxels, 8)))
        b, p, _ = block.pixels.shape
        images = jnp.asarray(rng.normal(size=(b, 3, 2 * p)))
        left = jnp.sum(block.slices(table, 3) * images)
        inserted = block.insert(images, None)
        keep = np.r_[0:3, 4:7]
        right = jnp.sum((table * inserted)[:, keep])
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_tables_hold_the_volumes(states):
    particles, _, _ = states
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.normal(size=(3, 50)) + 1j * rng.normal(size=(3, 50)))
    np.testing.assert_array_equal(from_table(to_table(values), 3), values)


def test_blocks_hold_the_particles_of_their_folds(prepared):
    particles = prepared[0]
    fold_of = np.arange(particles.n) % 3
    operators = make_pixel_operators(particles, fold_of)
    for folds in ((0,), (2, 1), None):
        rows = np.concatenate([rows for rows, _ in operators.blocks(folds)])
        wanted = np.flatnonzero(np.isin(fold_of, folds)) if folds else np.arange(particles.n)
        assert np.array_equal(np.sort(rows), wanted)
        assert operators.count(folds) == len(wanted)


def test_all_blocks_are_kept_or_none(prepared):
    whole = make_pixel_operators(prepared[0])
    assert whole.store.n_kept == len(whole.store.rows) and 0 < whole.spare_gb < 8
    needed = 8 - whole.spare_gb
    half = make_pixel_operators(prepared[0], max_memory_gb=needed / 2)
    assert half.store.n_kept == 0 and half.spare_gb == needed / 2
    table = random_table(prepared[0].grid, 3)
    for (_, a), (_, b), _ in zip(whole.blocks(), half.blocks(), range(2), strict=False):
        assert np.array_equal(a.pixels, b.pixels)
        assert np.array_equal(a.slices(table, 3), b.slices(table, 3))
    assert half.store.n_held == 0 < whole.store.n_held


@pytest.mark.parametrize("kind", [pytest.param(pixel_poses, marks=needs_compiler), pixel_gathers])
@pytest.mark.parametrize("n_volumes", [1, 4, 9, 15, 16, 17, 36])
def test_slices_from_poses_are_those_of_the_matrices(prepared, kind, n_volumes):
    """The last three of 16 particles are padding."""
    particles = prepared[0].take(np.r_[:13, 0, 0, 0])
    both = [made.make_block(particles, 13, particles.grid) for made in (kind, pixel_matrices)]
    table = random_table(particles.grid, n_volumes)
    found, plain = (np.asarray(block.slices(table, n_volumes)) for block in both)
    assert not found[13:].any()
    np.testing.assert_allclose(found, plain, atol=1e-5 * np.abs(plain).max())
    products = [np.asarray(block.products(jnp.asarray(plain))) for block in both]
    np.testing.assert_allclose(*products, atol=1e-5 * np.abs(products[1]).max())
    assert products[0].shape == (16, n_volumes + 1, n_volumes) and not products[0][13:].any()
    for name in ("pixels", "present"):
        assert np.array_equal(getattr(both[0], name), getattr(both[1], name))
    np.testing.assert_allclose(*(b.weights() for b in both), rtol=1e-5, atol=1e-6)
    rng = np.random.default_rng(1)
    images = jnp.asarray(rng.normal(size=plain.shape), jnp.float32)
    twice = [np.asarray(block.insert(images, block.insert(images, None))) for block in both]
    np.testing.assert_allclose(*twice, atol=1e-5 * np.abs(twice[1]).max())


@needs_compiler
def test_compiled_blocks_take_an_eleventh_of_the_memory(prepared, monkeypatch):
    spare = make_pixel_operators(prepared[0], max_memory_gb=1.0).spare_gb
    monkeypatch.setattr(native, "available", lambda: False)
    assert 1 - make_pixel_operators(prepared[0], max_memory_gb=1.0).spare_gb > 11 * (1 - spare)


@needs_compiler
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 50.0])
def test_a_pose_that_is_not_a_rotation_stays_inside(prepared, value):
    particles = prepared[0].take(np.arange(16))
    particles = replace(particles, rotations=np.full_like(particles.rotations, value))
    block = pixel_poses.make_block(particles, 16, particles.grid)
    block.insert(block.slices(random_table(particles.grid, 5), 5), None)


@needs_compiler
def test_images_of_fewer_frequencies_lie_in_memory_column_by_column(prepared):
    coarse = coarsen(prepared[0], prepared[0].radius - 2)
    part = coarse.take(np.arange(16))
    assert not part.images.flags.c_contiguous
    table = random_table(coarse.grid, 3)
    compiled, plain = (
        kind.make_block(part, 16, coarse.grid) for kind in (pixel_poses, pixel_matrices)
    )
    assert np.array_equal(compiled.pixels, plain.pixels)
    found, wanted = (np.asarray(block.slices(table, 3)) for block in (compiled, plain))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
