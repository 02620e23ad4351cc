"""Which blocks are kept, made anew, fetched and forgotten."""

from dataclasses import replace

import numpy as np
import pytest

from emjax.classify.operators import store
from emjax.classify.operators.store import BlockStore, count_kept


@pytest.fixture
def blocks(prepared):
    """Seven particles in three blocks, two of which are kept."""
    rows = [np.array([4, 2, 9]), np.array([1, 0, 5]), np.array([7])]
    return BlockStore(prepared[0], rows, 3, 2)


def test_the_first_blocks_are_made_once(blocks):
    made = []

    def make(part, n):
        made.append((part.images.shape[0], n))
        return len(made)

    assert list(blocks.several([0, 1, 2], make)) == [1, 2, 3]
    assert list(blocks.several([2, 1, 0], make)) == [4, 2, 1]
    assert made == [(3, 3), (3, 3), (3, 1), (3, 1)]  # a block of one is filled up
    assert blocks.n_held == 2
    blocks.forget()
    assert blocks.n_held == 0
    assert blocks.get(1, make) == 5


def test_a_block_has_its_particles_and_copies_of_the_first(blocks):
    part = blocks.get(2, lambda part, n: part)
    assert np.array_equal(part.images, blocks.particles.images[[7, 7, 7]])
    part = blocks.get(0, lambda part, n: part)
    assert np.array_equal(part.rotations, blocks.particles.rotations[[4, 2, 9]])


def test_the_block_to_come_is_fetched_unless_it_is_held(blocks, monkeypatch):
    fetched = []
    monkeypatch.setattr(store, "fetch_pages", lambda particles, rows: fetched.append(rows.tolist()))
    for _ in range(2):
        list(blocks.several([0, 1, 2], lambda part, n: n))
    # In the second pass only the last is made, and nothing comes after it.
    assert fetched == [[1, 0, 5], [7]]


def test_pages_that_were_read_are_given_back(blocks, monkeypatch):
    forgotten = []
    monkeypatch.setattr(store, "give_back", forgotten.append)
    own = replace(blocks)
    list(own.several([0, 1, 2], lambda part, n: n))
    assert len(forgotten) == 3
    assert all(images is blocks.particles.images for images in forgotten)


@pytest.mark.parametrize(
    ("room", "partly", "kept"),
    [(10.0, True, 5), (4.0, True, 2), (4.0, False, 0), (10.0, False, 5), (1.0, True, 0)],
)
def test_as_many_are_kept_as_fit(room, partly, kept):
    assert count_kept(5, 2.0, room, partly) == kept
