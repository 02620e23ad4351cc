"""The latent class model: EM ascends, merging adds up, planted rates come back."""

import numpy as np
import pytest

from emjax.consensus.intersections import count_classes, intersect_runs
from emjax.consensus.latent import (
    Votes,
    assign_posterior,
    estimate_rates,
    fit_path,
    iterate,
    merge_classes,
    sum_runs,
    tabulate_labels,
)
from emjax.consensus.planted import plant_groups


def votes_of(labels: np.ndarray) -> Votes:
    crossed, n_classes = intersect_runs(labels), count_classes(labels)
    counts = crossed.sizes.astype(np.float64)
    return tabulate_labels(crossed.patterns, counts, n_classes, np.ones(len(n_classes)))


@pytest.fixture(scope="module")
def planted():
    return plant_groups(4, [4, 5, 3, 6, 4], 0.2, 3000, np.random.default_rng(0))


def test_em_raises_the_likelihood(planted):
    votes = votes_of(planted.labels)
    rng = np.random.default_rng(1)
    model, before = estimate_rates(votes, rng.integers(0, 4, len(votes.counts))), -np.inf
    for _ in range(20):
        model = iterate(votes, model, 1)
        # The prior's pseudo-counts are part of what ascends; single precision adds 1e-5 relative.
        assert model.log_likelihood > before - 1e-4 * abs(before if np.isfinite(before) else 0) - 1
        before = model.log_likelihood


def test_posteriors_and_rates_sum_to_one(planted):
    votes = votes_of(planted.labels)
    path = fit_path(votes, 6, np.random.default_rng(2))
    assert set(path) == {1, 2, 3, 4, 5, 6}
    for g, model in path.items():
        posterior, _ = assign_posterior(votes, model)
        np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(sum_runs(model.rates, votes.n_classes), 1, atol=1e-6)
        assert model.weights.sum() == pytest.approx(1)
        assert len(model.weights) == g
    likelihoods = [path[g].log_likelihood for g in sorted(path)]
    # More classes never explain less, up to the early stop of EM.
    assert (np.diff(likelihoods) > -5).all()


def test_merging_keeps_the_mass(planted):
    votes = votes_of(planted.labels)
    model = fit_path(votes, 3, np.random.default_rng(3))[3]
    merged = merge_classes(model, 0, 2)
    assert merged.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(merged.weights @ merged.rates, model.weights @ model.rates)


def test_labels_reach_the_bayes_optimum(planted):
    votes = votes_of(planted.labels)
    model = fit_path(votes, 4, np.random.default_rng(4))[4]
    ones = np.ones(len(planted.truth))
    every = tabulate_labels(planted.labels, ones, votes.n_classes, votes.run_weights)
    found = assign_posterior(every, model)[0].argmax(axis=1)

    def accuracy(labels: np.ndarray) -> float:
        pairs = np.zeros((4, 4))
        np.add.at(pairs, (planted.truth, labels), 1)
        return pairs.max(axis=1).sum() / len(labels)

    assert accuracy(found) > accuracy(planted.best) - 0.01


def test_a_missing_vote_says_nothing():
    labels = np.array([[0, -1], [0, 0], [1, 1], [1, 1]])
    votes = votes_of(labels)
    # Three distinct rows of two runs, less the one missing.
    assert votes.table.sum() == 3 * 2 - 1


def test_the_same_seed_gives_the_same_bits(planted):
    # More rows than a thread of k-means takes at once, so that their order could matter.
    ones = np.ones(len(planted.labels))
    votes = tabulate_labels(planted.labels, ones, count_classes(planted.labels), np.ones(5))
    one, other = (fit_path(votes, 8, np.random.default_rng(5)) for _ in range(2))
    for g in one:
        np.testing.assert_array_equal(one[g].rates, other[g].rates)


def test_fewer_distinct_votes_than_groups_are_no_trouble():
    votes = votes_of(np.array([[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]]))
    path = fit_path(votes, 20, np.random.default_rng(6))
    assert set(path) == {1, 2}
    # Pseudo-counts of two runs weigh against five particles.
    np.testing.assert_allclose(np.sort(path[2].weights), [0.4, 0.6], atol=0.03)
    same = votes_of(np.zeros((7, 3), int))
    assert set(fit_path(same, 20, np.random.default_rng(7))) == {1}
