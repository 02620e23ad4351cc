"""Matching and agreement of runs, stability of particles, intervals of occupancy."""

import numpy as np
import pytest

from emjax.consensus.intersections import count_classes
from emjax.consensus.latent import LatentClasses, Votes, assign_posterior, fit_path, tabulate_labels
from emjax.consensus.planted import plant_groups
from emjax.consensus.stability import (
    compare_runs,
    match_classes,
    resample_occupancy,
    score_stability,
    separate_classes,
)


def fit(labels: np.ndarray, g: int) -> tuple[Votes, LatentClasses]:
    n_classes = count_classes(labels)
    votes = tabulate_labels(labels, np.ones(len(labels)), n_classes, np.ones(len(n_classes)))
    return votes, fit_path(votes, g, np.random.default_rng(0))[g]


def test_matching_undoes_a_permutation():
    rng = np.random.default_rng(1)
    one = rng.integers(0, 4, 300)
    order = np.array([2, 0, 3, 1])
    partner, flow = match_classes(one, order[one])
    np.testing.assert_array_equal(partner, order)
    assert flow.sum() == 300
    assert match_classes(one, np.full(300, -1))[0].tolist() == [-1] * 4


def test_agreement_is_symmetric_and_one_for_renamed_classes():
    rng = np.random.default_rng(2)
    one = rng.integers(0, 3, 500)
    labels = np.stack([one, (one + 1) % 3, rng.integers(0, 3, 500)], axis=1)
    labels[:50, 0] = -1
    for table in compare_runs(labels, rng):
        np.testing.assert_allclose(table, table.T)
        assert table[0, 1] == pytest.approx(1)
        assert abs(table[0, 2]) < 0.05


def test_stability_is_high_where_runs_agree_and_low_where_they_do_not():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 1200)
    labels = np.repeat(truth[:, None], 6, axis=1)
    labels[:100] = rng.integers(0, 3, (100, 6))
    votes, model = fit(labels, 3)
    own = assign_posterior(votes, model)[0].argmax(axis=1)
    stability = score_stability(votes, model)[np.arange(1200), own]
    assert ((stability >= 0) & (stability <= 1 + 1e-6)).all()
    assert stability[100:].mean() > 0.9 > 0.7 > stability[:100].mean()


def test_a_split_class_is_as_stable_as_a_whole_one():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, 1000)
    split = np.where(truth == 0, 2 * rng.integers(0, 2, 1000), 1)
    votes, model = fit(np.stack([truth, truth, split], axis=1), 2)
    own = assign_posterior(votes, model)[0].argmax(axis=1)
    assert score_stability(votes, model)[np.arange(1000), own].min() > 0.98
    assert separate_classes(votes, model)[2].max() == pytest.approx(1)


@pytest.mark.parametrize("n", [1500, 20_000])
def test_occupancy_intervals_hold_the_truth(n):
    """Also where the classes are fitted to a sample of the particles, here 1500."""
    covered = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        planted = plant_groups(3, [3] * 6, 0.1, n, rng, 0.1)
        votes, model = fit(planted.labels[:1500], 3)
        rows = tabulate_labels(planted.labels, np.ones(n), votes.n_classes, votes.run_weights)
        everyone, _ = assign_posterior(rows, model)
        low, high = resample_occupancy(votes, model, everyone.mean(0), n, rng, 100)
        truth = np.sort(np.bincount(planted.truth) / n)
        assert (low <= high).all()
        covered += int(((np.sort(low) <= truth) & (truth <= np.sort(high))).sum())
    # 30 intervals of 95 %: fewer than 25 happen less than once in a thousand times.
    assert covered >= 25
