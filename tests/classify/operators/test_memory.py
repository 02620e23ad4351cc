"""Blocks take the host's memory on a processor, and on GPUs what these have."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from emjax.classify.operators import sparse
from emjax.classify.operators.layout import LANES
from emjax.classify.operators.memory import SHARE, block_memory
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.pixels import make_pixel_operators


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Makes block_memory see GPUs with so many bytes each; nothing is computed on them."""

    def pretend(*limits: int | None) -> None:
        stats = [None if limit is None else {"bytes_limit": limit} for limit in limits]
        found = [SimpleNamespace(memory_stats=lambda own=own: own) for own in stats]
        seen = SimpleNamespace(local_devices=lambda: found, default_backend=lambda: "gpu")
        monkeypatch.setattr("emjax.classify.operators.memory.jax", seen)

    return pretend


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="JAX does not run on the processor")
def test_a_processor_has_what_the_option_allows():
    assert block_memory(3.0) == 3.0


def test_gpus_have_what_the_smallest_has_times_their_number(gpus):
    gpus(8 * 10**9)
    assert block_memory(3.0) == SHARE * 8
    gpus(8 * 10**9, 6 * 10**9)
    assert block_memory(3.0) == SHARE * 12
    gpus(*[8 * 10**9] * (LANES + 2))  # more than there are lanes
    assert block_memory(3.0) == SHARE * 8 * LANES
    gpus(None)  # a device that does not say
    assert block_memory(3.0) == 3.0


def test_an_engine_keeps_the_blocks_that_the_gpu_holds(gpus, prepared):
    def engine(max_memory_gb: float):
        return make_engine(prepared[0], max_memory_gb, block_pixels=15_000, backend=sparse)

    everything = len(engine(8.0).layout.blocks)
    one = sparse.gigabytes(engine(8.0).layout.block_size, prepared[0].grid)
    gpus(10**12)
    # The host's memory does not bound them, but sums and results come to the host.
    rich = engine(1e-6)
    assert rich.n_kept == everything and rich.memory_gb == 1e-6
    gpus(int(2 * 3.5 * one / SHARE * 1e9))
    poor = engine(8.0)
    assert poor.n_kept == 3 < everything and poor.memory_gb == pytest.approx(7 * one)


def test_operators_share_the_memory_of_the_gpu(gpus, prepared):
    needed = 8 - make_pixel_operators(prepared[0], max_memory_gb=8.0).spare_gb
    gpus(int(1.5 * needed / SHARE * 1e9))
    whole = make_pixel_operators(prepared[0], max_memory_gb=1e-6)
    assert whole.store.n_kept == len(whole.store.rows)
    assert whole.spare_gb == pytest.approx(needed / 2, rel=1e-6)
    # Beside them half of these particles find room, all of them do not.
    assert whole.beside(prepared[0]).store.n_kept == 0
    few = whole.beside(prepared[0].take(np.arange(prepared[0].n // 4)))
    assert few.store.n_kept == len(few.store.rows)
