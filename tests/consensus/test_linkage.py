"""Merging of intersections: counts add, ties have one order, heights are the nearest pair's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from emjax.consensus.intersections import (
    class_sizes,
    count_classes,
    intersect_runs,
    pattern_contingency,
)
from emjax.consensus.linkage import (
    METRICS,
    choose_representatives,
    jaccard,
    link_groups,
)
from emjax.consensus.tree import cut_tree


def link(labels: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    crossed, n_classes = intersect_runs(labels), count_classes(labels)
    table = pattern_contingency(crossed, n_classes)
    return link_groups(table, crossed.sizes, class_sizes(labels, n_classes), metric), crossed.sizes


@pytest.mark.parametrize("metric", METRICS)
def test_linkage_is_scipys(metric):
    labels = np.random.default_rng(0).integers(0, 3, (200, 3))
    merges, sizes = link(labels, metric)
    m = len(sizes)
    assert merges.shape == (m - 1, 4)
    assert sorted(merges[:, :2].ravel()) == list(range(2 * m - 2))
    assert merges[-1, 3] == m
    assert (merges[:, 2] >= 0).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(METRICS), st.permutations(range(4)))
def test_order_of_the_runs_changes_no_height(seed, metric, order):
    rng = np.random.default_rng(seed)
    # Unequal sizes: where heights and sizes tie, order is all that is left to break them.
    labels = rng.choice(4, (300, 4), p=[0.1, 0.2, 0.3, 0.4])
    one, _ = link(labels, metric)
    other, _ = link(labels[:, list(order)], metric)
    np.testing.assert_allclose(np.sort(one[:2, 2]), np.sort(other[:2, 2]), atol=1e-9)


def test_planted_groups_are_what_the_cut_gives():
    truth = np.repeat([0, 1, 2], [50, 40, 30])
    labels = np.stack([truth, (truth + 1) % 3, (truth + 2) % 3], axis=1)
    labels[::10, 0] = 0
    merges, sizes = link(labels, "cosine")
    classes = cut_tree(merges, 3)[: len(sizes)]
    # The intersections that no label was changed in are the largest of each group.
    planted = sizes > 20
    assert planted.sum() == 3 and sorted(classes[planted]) == [0, 1, 2]
    assert set(classes) == {0, 1, 2}


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 30))
def test_cutting_agrees_with_scipy_where_heights_rise(seed, n):
    tree = linkage(np.random.default_rng(seed).normal(size=(n, 3)), "average")
    for k in range(1, n + 1):
        classes = cut_tree(tree, k)
        assert adjusted_rand_score(classes[:n], fcluster(tree, k, "maxclust")) == 1
        _, first = np.unique(classes[:n], return_index=True)
        assert (np.diff(first) > 0).all()  # numbered by their first leaf
        inside = tree[: n - k, :2].astype(int)
        np.testing.assert_array_equal(classes[inside], classes[n : 2 * n - k, None].repeat(2, 1))
        assert (classes[2 * n - k :] == -1).all()


def test_cutting_follows_the_order_of_merging_where_heights_fall():
    merges = np.array([[0, 1, 0.5, 2], [2, 3, 0.9, 2], [4, 5, 0.2, 4]])
    assert cut_tree(merges, 2).tolist() == [0, 0, 1, 1, 0, 1, -1]
    assert cut_tree(merges, 1).tolist() == [0] * 7
    assert cut_tree(merges, 99).tolist() == [0, 1, 2, 3, -1, -1, -1]
    assert cut_tree(np.zeros((0, 4)), 1).tolist() == [0]


def test_representative_is_the_most_similar_input_class():
    shared = np.array([[10.0, 4.0], [0.0, 6.0]])
    similarity = jaccard(shared, np.array([10.0, 6.0]), np.array([10.0, 10.0]))
    np.testing.assert_allclose(similarity, [[1.0, 0.25], [0.0, 0.6]])
    assert choose_representatives(similarity).tolist() == [0, 1]


def test_no_and_one_intersection_have_an_empty_linkage():
    empty = np.zeros((0, 3), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    assert link_groups(empty, none, np.array([1, 1, 1])).shape == (0, 4)
    assert link_groups(np.array([[5, 5]]), np.array([5]), np.array([5, 5])).shape == (0, 4)


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="consensus.metric"):
        link_groups(np.array([[1]]), np.array([1]), np.array([1]), "manhattan")
