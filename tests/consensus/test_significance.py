"""Tails of the independence null: exact, Poisson, permuted; false discoveries; the original's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emjax.consensus.intersections import class_sizes, count_classes, intersect_runs
from emjax.consensus.significance import (
    adjust_fdr,
    count_cells,
    exact_tails,
    expect_sizes,
    log_tail_poisson,
    rank_xmipp,
    score_intersections,
    score_merged_class,
    smallest_in_trace,
    tail_poisson,
)


def tail_exact(observed, class_sizes, n_particles):
    """P(X ≥ observed) for the intersection of independent random sets of these sizes."""
    tails = exact_tails(np.sort(class_sizes), n_particles)
    return float(tails[observed]) if observed < len(tails) else 0.0


def permute_tail(observed, members, rng, permutations):
    """The same by shuffling the particles of every run."""
    hits = sum(
        int(np.all([rng.permutation(row) for row in members], axis=0).sum() >= observed)
        for _ in range(permutations)
    )
    return (hits + 1) / (permutations + 1)


def test_exact_tail_of_two_runs_is_hypergeometric():
    for observed in range(0, 12):
        expected = stats.hypergeom.sf(observed - 1, 60, 20, 12)
        assert tail_exact(observed, np.array([20, 12]), 60) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 60))
def test_exact_tail_is_a_tail(sizes, observed):
    tail = tail_exact(observed, np.array(sizes), 60)
    assert 0 <= tail <= 1
    assert tail_exact(0, np.array(sizes), 60) == pytest.approx(1.0)
    assert tail <= tail_exact(max(observed - 1, 0), np.array(sizes), 60) + 1e-12


def test_permutations_agree_with_the_exact_tail():
    rng = np.random.default_rng(1)
    n, sizes = 80, np.array([30, 25, 40])
    members = np.stack([np.arange(n) < size for size in sizes])
    for observed in (4, 6, 8):
        exact = tail_exact(observed, sizes, n)
        found = permute_tail(observed, members, rng, 2000)
        # Three standard errors of 2000 shuffles.
        assert found == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 2000) + 1e-3)


def test_poisson_is_no_smaller_than_the_exact_tail_where_it_counts():
    n, sizes = 2000, np.array([500, 400, 300])
    expected = np.array([n * np.prod(sizes / n)])
    for observed in range(20, 60, 5):
        exact = tail_exact(observed, sizes, n)
        assert tail_poisson(np.array([observed]), expected)[0] >= exact
        assert log_tail_poisson(observed, expected[0]) >= np.log(exact)


def test_log_tail_goes_on_where_the_tail_underflows():
    assert log_tail_poisson(100, 20.0) == pytest.approx(stats.poisson.logsf(99, 20.0), rel=1e-6)
    deep = log_tail_poisson(3000, 1.0)
    assert -np.inf < deep < -5000
    assert log_tail_poisson(3001, 1.0) < deep


def test_q_values_count_the_cells_not_listed():
    p = np.array([0.001, 0.02, 0.5])
    np.testing.assert_allclose(adjust_fdr(p, 10), [0.01, 0.1, 1.0])
    assert (adjust_fdr(p, 3) <= adjust_fdr(p, 10)).all()


@pytest.mark.parametrize("shape", [(300, [3, 3, 3]), (300, [2, 3, 5]), (4000, [4] * 6)])
def test_random_labels_are_rarely_significant(shape):
    n, n_classes = shape
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(20):
        labels = np.stack([rng.integers(0, k, n) for k in n_classes], axis=1)
        crossed, sizes = intersect_runs(labels), class_sizes(labels, np.array(n_classes))
        p = score_intersections(crossed.patterns, crossed.sizes, sizes, np.array(n_classes), n)
        hits += bool((adjust_fdr(p, count_cells(np.array(n_classes))) < 0.05).any())
    # 20 draws at 5 %: more than 4 happen once in a hundred times.
    assert hits <= 4


def test_merged_classes_of_random_labels_are_not_significant_however_chosen():
    rng = np.random.default_rng(3)
    for _ in range(20):
        labels = rng.integers(0, 4, (500, 5))
        crossed = intersect_runs(labels)
        # The most favourable choice the data offer: the classes of the largest intersection.
        members = [np.arange(4) == k for k in crossed.patterns[0]]
        _, _, log_p = score_merged_class(crossed.patterns, crossed.sizes, members, 500)
        assert log_p > np.log(0.05)


def test_a_class_of_everything_is_not_significant_and_a_planted_one_is():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, 1000)
    labels = np.where(rng.random((1000, 4)) < 0.1, rng.integers(0, 2, (1000, 4)), truth[:, None])
    crossed = intersect_runs(labels)
    everything = [np.ones(2, dtype=bool)] * 4
    assert score_merged_class(crossed.patterns, crossed.sizes, everything, 1000)[2] == 0.0
    one = [np.array([True, False])] * 4
    assert score_merged_class(crossed.patterns, crossed.sizes, one, 1000)[2] < np.log(1e-20)


def test_empty_trace_members_do_not_break_expected_sizes():
    labels = np.array([[0, -1], [0, 1], [1, 1]])
    crossed, n_classes = intersect_runs(labels), count_classes(labels)
    sizes = class_sizes(labels, n_classes)
    expected = expect_sizes(crossed.patterns, sizes, n_classes, 3)
    by_trace = {tuple(p): e for p, e in zip(crossed.patterns.tolist(), expected, strict=True)}
    assert by_trace[0, -1] == pytest.approx(2 / 3)
    smallest = smallest_in_trace(crossed.patterns, sizes, n_classes)
    size_p, relative_p = rank_xmipp(crossed.sizes, smallest, sizes, n_classes, 3)
    assert ((size_p >= 0) & (size_p <= 1) & (relative_p >= 0) & (relative_p <= 1)).all()
