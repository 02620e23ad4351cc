"""The compiled backend where it is missing, of another version, or given wrong poses."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from emjax.classify.operators import backend, native
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.sparse import TILE

needs_compiler = pytest.mark.skipif(
    not native.available(), reason="no C compiler when emjax was installed"
)


def test_where_nothing_is_compiled_it_is_said(monkeypatch):
    monkeypatch.setattr(native, "available", lambda: False)
    assert "no C compiler" in backend.describe_backend()
    monkeypatch.setattr(native, "available", lambda: True)
    assert backend.describe_backend() == "native"


@needs_compiler
def test_a_library_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(native, "VERSION", native.VERSION + 1)
    with pytest.raises(ImportError, match="make env"):
        native._load()


@needs_compiler
def test_a_pose_that_is_not_a_rotation_stays_inside(prepared):
    """Infinite, huge or undefined poses must not reach beyond the tables' memory."""
    engine = make_engine(prepared[0], backend=native)
    _, block = next(iter(engine.blocks()))
    for value in (np.nan, np.inf, -1e30, 50.0):
        block = replace(block, rotations=np.full_like(block.rotations, value))
        native.log_likelihoods(block, np.ones((1, block.n_voxels, 2, TILE), np.float32))
        sums = native.empty_sums(1, block.n_voxels, jax.devices()[0])
        native.insert(block, np.ones((engine.layout.block_size, TILE), np.float32), sums)
