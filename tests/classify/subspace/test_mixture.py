"""Seeded mixtures on synthetic statistics: plain formulas, and planted classes."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score

from emjax.classify.subspace.mixture import FitOptions, assign, fit_seeds, posteriors_and_gain
from emjax.classify.subspace.optima import distinct_optima, information
from emjax.classify.subspace.statistics import Statistics


def test_posteriors_and_gain_are_those_of_the_formula(three_classes):
    statistics, _ = three_classes
    rng = np.random.default_rng(1)
    z, weights = rng.normal(size=(4, 3)).astype(np.float32), np.array([0.4, 0.3, 0.2, 0.1])
    posteriors, gain = posteriors_and_gain(statistics, z, weights)
    quadratic = np.einsum("ki,nij,kj->nk", z, statistics.quadratic(), z)
    scores = statistics.linear() @ z.T - 0.5 * quadratic + np.log(weights)
    np.testing.assert_allclose(gain, logsumexp(scores, axis=1), atol=2e-4)  # float32
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)
    labels = assign(statistics, z[None], weights[None])[:, 0]
    np.testing.assert_array_equal(labels, scores.argmax(1))


def test_the_planted_classes_are_found_by_most_seeds(three_classes):
    statistics, labels = three_classes
    campaign = fit_seeds(statistics, 3, range(40))
    best = [campaign.best()]
    found = assign(statistics, campaign.coordinates[best], campaign.class_weights[best])[:, 0]
    assert adjusted_rand_score(labels, found) > 0.85  # the classes overlap
    optima = distinct_optima(campaign, information(statistics))
    assert len(optima[0].members) >= 32
    assert sum(len(o.members) for o in optima) == 40
    assert campaign.converged.all()
    assert (np.diff(campaign.class_weights, axis=1) <= 0).all()


def test_likelihood_never_falls(three_classes):
    statistics, _ = three_classes
    history = [
        fit_seeds(statistics, 3, [5], FitOptions(max_iterations=i)).log_likelihood[0]
        for i in range(1, 25)
    ]
    # float32 sums of 1500 particles
    assert np.diff(history).min() > -1e-2


def test_a_seed_does_not_depend_on_its_batch(three_classes):
    statistics, _ = three_classes
    options = FitOptions(tile_columns=48)
    many = fit_seeds(statistics, 3, range(30), options)
    alone = fit_seeds(statistics, 3, [7], options)
    np.testing.assert_array_equal(alone.coordinates[0], many.coordinates[7])
    assert alone.log_likelihood[0] == many.log_likelihood[7]


def test_streaming_in_blocks_gives_the_same_answer(three_classes):
    statistics, _ = three_classes
    whole = fit_seeds(statistics, 3, range(4))
    streamed = fit_seeds(statistics, 3, range(4), FitOptions(block_rows=512))
    # Only the order of float32 sums differs.
    np.testing.assert_allclose(streamed.log_likelihood, whole.log_likelihood, rtol=1e-4)
    np.testing.assert_allclose(streamed.coordinates, whole.coordinates, atol=5e-3)


def test_a_part_of_the_particles_first_gives_the_same_optimum(three_classes):
    statistics, _ = three_classes
    whole = fit_seeds(statistics, 3, range(4))
    found = fit_seeds(statistics, 3, range(4), FitOptions(first_particles=400))
    assert (found.iterations > whole.iterations.min()).all() and found.converged.all()
    gap = found.log_likelihood[found.best()] - whole.log_likelihood[whole.best()]
    assert abs(gap) < 1e-3 * whole.log_likelihood[whole.best()]


def test_memory_mapped_statistics_serve(three_classes, tmp_path):
    statistics, _ = three_classes
    np.save(tmp_path / "features.npy", statistics.features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    again = Statistics(mapped, statistics.offset, 3)
    a, b = fit_seeds(statistics, 2, [0]), fit_seeds(again, 2, [0])
    np.testing.assert_array_equal(a.coordinates, b.coordinates)


def test_one_class_is_the_mean(three_classes):
    statistics, _ = three_classes
    campaign = fit_seeds(statistics, 1, [0])
    system = statistics.quadratic().sum(0) + np.eye(3)
    expected = np.linalg.solve(system, statistics.linear().sum(0))
    np.testing.assert_allclose(campaign.coordinates[0, 0], expected, rtol=1e-3, atol=1e-4)


def test_impossible_numbers_are_refused(three_classes):
    statistics, _ = three_classes
    with pytest.raises(ValueError, match="n_classes: found 2000"):
        fit_seeds(statistics, 2000, [0])
    with pytest.raises(ValueError, match="0 seeds"):
        fit_seeds(statistics, 2, [])
