"""Slices of many volumes and their adjoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax.classify.operators.pixels import (
    from_table,
    insert_residuals,
    make_pixel_operators,
    slice_table,
    to_table,
)
from tests.classify.double import make_data


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
        left = jnp.sum(slice_table(block, table, 3) * images)
        inserted = insert_residuals(block, images)
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
    for (_, a), (_, b), _ in zip(whole.blocks(), half.blocks(), range(2), strict=False):
        assert all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))
    assert half.store.n_held == 0 < whole.store.n_held
