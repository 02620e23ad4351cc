"""The real kernels on a real GPU; elsewhere the other tests interpret them."""

import jax
import numpy as np
import pytest

from emjax.classify.em3d.expectation import insert_columns
from emjax.classify.operators import pallas, pixel_gathers, pixel_matrices, sparse
from emjax.classify.operators.backend import choose_backend
from emjax.classify.operators.memory import block_memory
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.imaging.maps import slicing_values

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX sees no GPU"),
]


def found(prepared, backend):
    """Log-likelihoods of three random volumes, and sums of as many columns."""
    engine = make_engine(prepared[0], block_pixels=15_000, backend=backend)
    d = engine.grid.box_size
    volumes = 0.05 * jax.random.normal(jax.random.key(0), (3, d, d, d))
    tables = engine.tables(list(np.asarray(slicing_values(volumes, engine.grid))))
    ell = [engine.log_likelihoods(rows, block, tables)[:, :3] for rows, block in engine.blocks()]
    columns = np.random.default_rng(0).random((engine.particles.n, 3), dtype=np.float32)
    sums = insert_columns(engine, columns)
    return np.concatenate(ell), np.asarray(sums.numerator), np.asarray(sums.denominator)


def test_kernels_are_compiled_and_chosen():
    assert choose_backend() is pallas and not pallas.interpreted()


def test_kernels_give_what_plain_jax_gives(prepared):
    for ours, plain in zip(found(prepared, pallas), found(prepared, sparse), strict=True):
        # Float32 sums in another order.
        np.testing.assert_allclose(ours, plain, atol=2e-5 * np.abs(plain).max())


def test_kernels_give_the_same_bits_twice(prepared):
    for one, other in zip(found(prepared, pallas), found(prepared, pallas), strict=True):
        assert np.array_equal(one, other)


def test_blocks_take_the_memory_of_the_gpu():
    assert block_memory(1e-6) > 0.1


def test_slices_of_many_volumes_and_their_adjoint_are_those_of_the_matrices(prepared):
    particles = prepared[0].take(np.arange(32))
    images = jax.random.normal(jax.random.key(1), (32, 5, 2 * len(particles.grid.kx)))
    table = jax.random.normal(jax.random.key(2), (len(particles.grid.kxyz), 16))
    assert type(next(make_pixel_operators(particles).blocks())[1]) is pixel_gathers.GatherBlock
    both = [
        kind.make_block(particles, 32, particles.grid) for kind in (pixel_gathers, pixel_matrices)
    ]
    for found, wanted in (
        [block.slices(table, 7) for block in both],
        [block.insert(images, None) for block in both],
    ):
        np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())
