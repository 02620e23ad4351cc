"""Intersections of runs: sizes, traces, order, what counts as one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emjax.consensus.intersections import (
    class_sizes,
    count_classes,
    count_contingency,
    intersect_runs,
    keep_intersections,
    pattern_contingency,
)

label_sets = arrays(
    np.int64, st.tuples(st.integers(1, 40), st.integers(1, 5)), elements=st.integers(-1, 3)
)


@settings(deadline=None)
@given(label_sets)
def test_intersections_partition_the_assigned_particles(labels):
    crossed = intersect_runs(labels)
    inside = crossed.of_particle >= 0
    np.testing.assert_array_equal(inside, (labels >= 0).any(axis=1))
    np.testing.assert_array_equal(crossed.patterns[crossed.of_particle[inside]], labels[inside])
    counted = np.bincount(crossed.of_particle[inside], minlength=len(crossed.sizes))
    np.testing.assert_array_equal(counted, crossed.sizes)
    assert (np.diff(crossed.sizes) <= 0).all()


@settings(deadline=None)
@given(label_sets)
def test_contingency_from_patterns_is_that_from_particles(labels):
    crossed, n_classes = intersect_runs(labels), count_classes(labels)
    table = count_contingency(crossed.of_particle, len(crossed.sizes), labels, n_classes)
    np.testing.assert_array_equal(table, pattern_contingency(crossed, n_classes))
    np.testing.assert_array_equal(table.sum(axis=0), class_sizes(labels, n_classes))


def test_many_runs_do_not_overflow():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, (500, 40))
    labels[250:] = labels[:250]
    crossed = intersect_runs(labels)
    assert len(crossed.sizes) == 250
    assert (crossed.sizes == 2).all()


def test_minimum_size_of_0_and_1_keep_all_and_2_drops_single_particles():
    crossed = intersect_runs(np.array([[0, 0], [0, 0], [0, 1], [1, 1]]))
    assert len(keep_intersections(crossed.sizes, 0)) == len(keep_intersections(crossed.sizes, 1))
    assert len(keep_intersections(crossed.sizes, 1)) == 3
    assert len(keep_intersections(crossed.sizes, 2)) == 1
