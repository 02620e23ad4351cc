"""Rebalancing of superclasses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.rebalance.sizes import (
    equivalent_factor,
    keep_particles,
    size_cap,
    superclass_of_particle,
    superclass_sizes,
)

SUPERCLASS = np.array([0, 0, 1, 2])


def planted_labels() -> np.ndarray:
    """Superclasses of 100 + 50, 29 and 90 particles."""
    return np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [100, 50, 29, 90]))


@pytest.mark.parametrize(
    ("factor", "max_size", "expected"),
    [
        (0.0, None, [150, 29, 90]),
        (0.3, None, [96, 29, 90]),
        (0.29, None, [100, 29, 90]),
        (1.0, None, [29, 29, 29]),
        (0.5, 40, [40, 29, 40]),
        (1.0, 20, [20, 20, 20]),
    ],
)
def test_caps_are_exact(factor: float, max_size: int | None, expected: list[int]) -> None:
    labels = planted_labels()
    kept = keep_particles(labels, SUPERCLASS, factor, max_size, seed=1)
    np.testing.assert_array_equal(superclass_sizes(labels[kept], SUPERCLASS), expected)
    assert kept.sum() + (~kept).sum() == len(labels)


def test_discards_are_seeded() -> None:
    labels = planted_labels()
    first, again, other = (keep_particles(labels, SUPERCLASS, 0.6, seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_unassigned_and_excluded() -> None:
    labels = np.array([-1, 0, 0, 1, 2])
    superclass = np.array([0, 1, -1])
    np.testing.assert_array_equal(superclass_of_particle(labels, superclass), [-1, 0, 0, 1, -1])
    np.testing.assert_array_equal(keep_particles(labels, superclass, 0.0), [0, 1, 1, 1, 0])
    kept = keep_particles(labels, superclass, 0.5)
    np.testing.assert_array_equal(kept, [0, 1, 1, 1, 0])


@given(
    st.lists(st.integers(-1, 5), max_size=60),
    st.floats(0, 1),
    st.lists(st.integers(-1, 2), min_size=6, max_size=6),
)
def test_no_superclass_exceeds_the_cap(
    labels: list[int], factor: float, superclass: list[int]
) -> None:
    found, of_class = np.array(labels, int), np.array(superclass)
    sizes = superclass_sizes(found, of_class)
    kept = keep_particles(found, of_class, factor)
    cap = size_cap(sizes, factor)
    limit = sizes if cap is None else np.minimum(sizes, min(cap, len(labels)))
    np.testing.assert_array_equal(superclass_sizes(found[kept], of_class), limit)


def test_equivalent_factor_is_smallest_over_maximum() -> None:
    assert equivalent_factor(np.array([150, 0, 30]), 60) == 0.5
    assert equivalent_factor(np.array([150, 30]), 10) == 1.0


@pytest.mark.parametrize(
    ("factor", "max_size", "message"),
    [
        (-0.1, None, "expected 0 to 1"),
        (1.2, None, "expected 0 to 1"),
        (float("nan"), None, "expected 0 to 1"),
        (0.0, 10, "with factor 0"),
        (0.5, 0, "expected 1 or more"),
    ],
)
def test_wrong_options_are_errors(factor: float, max_size: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keep_particles(planted_labels(), SUPERCLASS, factor, max_size)


def test_averages_of_another_job_are_an_error() -> None:
    with pytest.raises(ValueError, match="found class 4 but only 3 references.*same job"):
        keep_particles(planted_labels(), SUPERCLASS[:3])
