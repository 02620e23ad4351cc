"""Backends of the engine against slices read and inserted one by one."""

import os
import subprocess
import sys
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.classify.em3d.expectation import insert_columns
from emjax.classify.operators import lanes, native, pallas, sparse
from emjax.classify.operators.accumulator import Accumulator
from emjax.classify.operators.layout import LANES, block_size, by_view
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.sparse import TILE
from emjax.imaging.grids import add_friedel_mates
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import weights_of
from emjax.imaging.projector import insert_slices, insert_weights, make_slices, slice_volume
from tests.campaigns import ROOT

needs_compiler = pytest.mark.skipif(
    not native.available(), reason="no C compiler when emjax was installed"
)
BACKENDS = [
    pytest.param(native, id="native", marks=needs_compiler),
    pytest.param(sparse, id="sparse"),
    pytest.param(pallas, id="pallas"),  # interpreted where there is no GPU
]


@pytest.fixture(scope="module", params=BACKENDS)
def engine(request, prepared):
    """Engine over the particles with each backend."""
    return make_engine(prepared[0], block_pixels=15_000, backend=request.param)


def random_volumes(engine, k, seed=0):
    d = engine.grid.box_size
    return jax.random.normal(jax.random.key(seed), (k, d, d, d)) * 0.05


def test_every_particle_is_in_one_block_of_its_half(engine):
    rows = np.concatenate([r.rows for r in engine.layout.blocks])
    assert np.array_equal(np.sort(rows), np.arange(engine.particles.n))
    for block in engine.layout.blocks:
        assert np.all(engine.particles.half[block.rows] == block.half)


def test_neighbours_have_similar_views():
    rotations = Rotation.random(512, np.random.default_rng(0)).as_matrix()
    order = by_view(rotations)
    assert np.array_equal(np.sort(order), np.arange(512))
    views = rotations[order, 2]
    between = np.degrees(np.arccos(np.abs(np.sum(views[1:] * views[:-1], 1)).clip(0, 1)))
    assert np.median(between) < 6  # of unordered ones 60


def log_likelihoods(engine, values):
    """Of the first block and all classes; its rows."""
    rows, block = next(iter(engine.blocks()))
    found = engine.log_likelihoods(rows, block, engine.tables(list(np.asarray(values))))
    return rows, block, np.asarray(found)


def test_log_likelihoods_are_those_of_slices_read_one_by_one(engine):
    values = slicing_values(random_volumes(engine, 3), engine.grid)
    rows, _, found = log_likelihoods(engine, values)
    part = engine.particles.take(rows.rows)
    slices = make_slices(jnp.asarray(part.rotations), engine.grid)
    weights = weights_of(part, engine.grid)
    for k in range(3):
        model = weights * slice_volume(values[k], slices)
        residual = np.sum(np.abs(part.images - model) ** 2, 1)
        direct = -0.5 * (residual - np.sum(np.abs(part.images) ** 2, 1))
        # Float32 sums of a few hundred terms.
        np.testing.assert_allclose(found[: len(rows.rows), k], direct, rtol=2e-4, atol=2e-3)


def test_insertion_is_the_adjoint_of_slicing(engine):
    """The merged voxel-major matrix gives what inserting pixel by pixel gives."""
    rng = np.random.default_rng(0)
    columns = rng.random((engine.particles.n, 2), dtype=np.float32)
    sums = insert_columns(engine, columns)
    slices = make_slices(jnp.asarray(engine.particles.rotations), engine.grid)
    weights = weights_of(engine.particles, engine.grid)
    for h in (1, 2):
        for c in range(2):
            member = jnp.asarray(columns[:, c] * (engine.particles.half == h))[:, None]
            v = engine.grid.kxyz.shape[0]
            pixels = member * weights * engine.particles.images
            numerator = add_friedel_mates(insert_slices(pixels, slices, v), engine.grid)
            denominator = add_friedel_mates(
                insert_weights(member * weights**2, slices, v), engine.grid
            )
            # Float32 sums in another order.
            np.testing.assert_allclose(
                sums.numerator[h - 1, c], numerator, atol=2e-5 * np.abs(numerator).max()
            )
            np.testing.assert_allclose(
                sums.denominator[h - 1, c], denominator, atol=2e-5 * denominator.max()
            )


def test_columns_do_not_depend_on_their_neighbours(engine):
    """The same bits alone, in another place of a tile, and in another tile."""
    values = slicing_values(random_volumes(engine, TILE + 5), engine.grid)
    rows, block, together = log_likelihoods(engine, values)
    for k in (0, 7, TILE - 1, TILE + 4):
        alone = log_likelihoods(engine, values[k : k + 1])[2][:, 0]
        assert np.array_equal(alone, together[:, k])

    weights = np.random.default_rng(1).random(
        (engine.layout.block_size, TILE + 5), dtype=np.float32
    )

    def inserted(columns):
        accumulator = Accumulator(engine, columns.shape[1])
        accumulator.add(rows, block, columns)
        return np.asarray(accumulator.sums().numerator)

    all_columns = inserted(weights)
    for k in (0, 7, TILE + 4):
        assert np.array_equal(inserted(weights[:, k : k + 1])[:, 0], all_columns[:, k])


def test_blocks_made_when_needed_give_the_same_bits(engine, prepared):
    frugal = make_engine(prepared[0], 1e-6, block_pixels=15_000, backend=engine.backend)
    half = make_engine(
        prepared[0],
        engine.backend.gigabytes(prepared[0].n, engine.grid),
        block_pixels=15_000,
        backend=engine.backend,
    )
    assert frugal.n_kept == 0 < half.n_kept < engine.n_kept == len(engine.layout.blocks)
    columns = np.random.default_rng(0).random((engine.particles.n, 3), dtype=np.float32)
    a = insert_columns(engine, columns)
    for b in (insert_columns(frugal, columns), insert_columns(half, columns)):
        assert np.array_equal(a.numerator, b.numerator)
        assert np.array_equal(a.denominator, b.denominator)


def test_half_precision_on_disk_hardly_matters(prepared):
    whole = prepared[0]
    pairs = whole.images.view(np.float32).reshape(*whole.images.shape, 2)
    narrow = replace(whole, images=pairs.astype(np.float16))
    columns = np.ones((whole.n, 1), np.float32)
    a, b = (insert_columns(make_engine(p), columns).numerator for p in (whole, narrow))
    # Eleven bits of each number, and many numbers add up.
    np.testing.assert_allclose(b, a, atol=1e-4 * np.abs(a).max())


def test_any_number_of_threads_gives_the_same_bits(engine, monkeypatch):
    columns = np.random.default_rng(0).random((engine.particles.n, 3), dtype=np.float32)
    found = []
    for threads in (1, 2, 3, LANES):
        monkeypatch.setattr(lanes, "threads_at_hand", lambda threads=threads: threads)
        found.append(np.asarray(insert_columns(engine, columns).numerator))
    assert all(np.array_equal(found[0], other) for other in found[1:])


SEVERAL_DEVICES = """
import jax, numpy as np
from emjax.classify.operators import sparse
from emjax.classify.operators.layout import LANES
from emjax.classify.operators.passes import Engine, make_engine
from emjax.classify.em3d.expectation import insert_columns
from emjax.simulate.particles import phantom, simulate
from tests.classify.conftest import BOX, PIXEL, prepare

particles = prepare(simulate(phantom(2, BOX, seed=1), 200, seed=2, pixel_size=PIXEL, snr=1.0))[0]
columns = np.random.default_rng(0).random((200, 3), dtype=np.float32)

def found():
    engine = make_engine(particles, block_pixels=8_000, backend=sparse)
    blocks = [block for _, block in engine.blocks()]
    tables = engine.tables([np.ones(engine.grid.kxyz.shape[0], np.complex64)] * 3)
    ell = [engine.log_likelihoods(r, b, tables) for r, b in zip(engine.layout.blocks, blocks)]
    sums = insert_columns(engine, columns)
    devices = {d for block in blocks for d in block.pixels.devices()}
    return len(devices), np.concatenate(ell), np.asarray(sums.numerator)

four = found()
Engine.device = lambda self, lane: jax.devices()[0]
one = found()
assert (four[0], one[0]) == (LANES, 1)
assert all(np.array_equal(a, b) for a, b in zip(four[1:], one[1:]))
"""


@pytest.mark.slow
def test_four_devices_give_the_bits_of_one():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    subprocess.run(
        [sys.executable, "-c", SEVERAL_DEVICES], cwd=ROOT, env=os.environ | flags, check=True
    )


def test_memory_estimate_is_near_the_truth(engine):
    held = sum(
        leaf.nbytes
        for _, block in engine.blocks()
        for leaf in jax.tree.leaves(vars(block))
        if hasattr(leaf, "nbytes")
    )
    padded = len(engine.layout.blocks) * engine.layout.block_size
    assert 0.6 < held / 1e9 / engine.backend.gigabytes(padded, engine.grid) < 1.5


def test_blocks_come_in_few_sizes(engine):
    """So that other numbers of particles do not compile anew."""
    sizes = {block_size(n, engine.grid, 200_000) for n in range(1, 5000, 7)}
    assert len(sizes) <= 8
    assert all(block_size(n, engine.grid, 200_000) < 2 * max(n, 16) for n in range(1, 5000, 7))


@needs_compiler
def test_backends_agree(prepared):
    columns = np.random.default_rng(0).random((prepared[0].n, 3), dtype=np.float32)
    a, b = (
        insert_columns(make_engine(prepared[0], backend=backend), columns)
        for backend in (native, sparse)
    )
    # Float32 sums in another order.
    scale = np.abs(np.asarray(b.numerator)).max()
    np.testing.assert_allclose(a.numerator, b.numerator, atol=2e-6 * scale)
    np.testing.assert_allclose(a.denominator, b.denominator, atol=2e-6 * np.max(b.denominator))


def test_particles_that_the_cache_cannot_hold_together_give_the_same(prepared, monkeypatch):
    engine = make_engine(prepared[0], particle_limit=70, backend=sparse)
    values = slicing_values(random_volumes(engine, 3), engine.grid)
    _, block, at_once = log_likelihoods(engine, values)
    monkeypatch.setattr(sparse, "CACHED_PIXELS", 5 * block.pixels.shape[1])
    own = sparse._log_likelihoods.__wrapped__(block, engine.tables(list(np.asarray(values)))[0][0])
    np.testing.assert_allclose(own[:, :3], at_once[:, :3], rtol=1e-5, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("n", [1, 255, 256, 300])
def test_entries_are_counted_one_for_each_particle_at_a_voxel(prepared, n):
    particles = prepared[0].take(np.arange(n))
    grid = particles.grid
    block = native.make_block(particles, np.ones(particles.images.shape), n, grid, jax.devices()[0])
    voxels = np.asarray(make_slices(jnp.asarray(particles.rotations), grid).voxels)
    own = [np.unique(v) for v in voxels.reshape(n, -1)]
    counts = np.bincount(np.concatenate(own), minlength=block.n_voxels)
    # A point on a cell's face may take the neighbours on either side of it.
    assert np.abs(np.diff(block.starts) - counts).sum() < 1e-3 * counts.sum()


def test_a_subset_gives_what_its_particles_alone_give(prepared, tmp_path):
    rows = np.flatnonzero(prepared[0].half == 1)[::2]
    np.save(tmp_path / "images.npy", prepared[0].images)
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    half = prepared[0].half[::-1].copy()[rows]
    found = []
    for part in (replace(prepared[0], images=images).subset(rows), prepared[0].take(rows)):
        engine = make_engine(replace(part, half=half), 1e-6, block_pixels=15_000)
        assert engine.n_kept == 0
        found.append(insert_columns(engine, np.ones((len(rows), 1), np.float32)))
    assert np.array_equal(found[0].numerator, found[1].numerator)


# JAX 0.11 warns that it will leave Triton for Mosaic.
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
def test_kernels_compile_to_gpu_code(prepared, monkeypatch):
    """As far as that goes without a GPU: to the intermediate code that its driver takes."""
    engine = make_engine(prepared[0], particle_limit=40, backend=pallas)
    _, block = next(iter(engine.blocks()))
    sums = pallas.empty_sums(1, engine.grid.kxyz.shape[0], jax.devices()[0])[0]
    posteriors = jnp.ones((engine.layout.block_size, TILE))
    monkeypatch.setattr(pallas, "interpreted", lambda: False)
    arrays, static = eqx.partition(block, eqx.is_array)

    def both(arrays):
        own = eqx.combine(arrays, static)
        compared = pallas.slice_and_compare.__wrapped__(own, sums[0], sums[1])
        return compared, pallas.add_up.__wrapped__(own, posteriors, sums)

    device = jax.sharding.AbstractDevice("NVIDIA H200", 132, "cuda")
    mesh = jax.sharding.AbstractMesh((1,), ("gpu",), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        lowered = jax.jit(both).trace(arrays).lower(lowering_platforms=("cuda",))
    n_calls = lowered.as_text().count("@__gpu$xla.gpu.triton")
    assert n_calls == 2


def test_poses_may_lie_in_memory_in_any_order(engine, prepared):
    """Those of a STAR file are transposed."""
    transposed = replace(prepared[0], rotations=np.asfortranarray(prepared[0].rotations))
    ways = {"block_pixels": 15_000, "backend": engine.backend, "particle_limit": 100}
    engines = (make_engine(particles, **ways) for particles in (prepared[0], transposed))
    one, same = (insert_columns(e, np.ones((transposed.n, 1), np.float32)) for e in engines)
    assert np.array_equal(one.numerator, same.numerator)


def test_highpass_ignores_coarse_frequencies(engine, prepared):
    filtered = make_engine(prepared[0], highpass_resolution=80.0)
    sums = insert_columns(filtered, np.ones((engine.particles.n, 1), np.float32))
    radius = np.sqrt(np.sum(np.asarray(engine.grid.kxyz) ** 2, 1))
    lowest = prepared[0].extent / 80.0
    # A trilinear cell reaches √3 beyond its points.
    assert np.all(np.asarray(sums.denominator)[..., radius < lowest - 1.8] == 0)
    assert np.all(np.asarray(sums.denominator).sum(0)[0][(radius > lowest + 2) & (radius < 6)] > 0)
    with pytest.raises(ValueError, match="highpass_resolution: found 5 Å"):
        make_engine(prepared[0], highpass_resolution=5.0)


def test_particle_limit(prepared):
    limited = make_engine(prepared[0], particle_limit=100)
    assert sum(len(r.rows) for r in limited.layout.blocks) == 100
