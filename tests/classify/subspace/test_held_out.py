"""Held-out evidence on synthetic statistics: planted classes, a continuum, noise."""

import numpy as np
import pytest

from emjax.classify.evidence import choose_number
from emjax.classify.subspace.folds import Fold
from emjax.classify.subspace.held_out import component_gains, held_out_evidence, spread_gain
from tests.classify.subspace.conftest import planted


def halves_of(statistics):
    train = np.arange(statistics.n) // 50 % 2 == 0
    return [Fold(statistics, ~train), Fold(statistics, train)]


@pytest.mark.slow
def test_evidence_chooses_the_planted_number(three_classes):
    statistics, _ = three_classes
    micrographs = np.arange(statistics.n) // 50
    evidence = held_out_evidence(halves_of(statistics), [2, 3, 4, 5], micrographs, seeds=10)
    assert evidence.components.chosen == 2
    assert evidence.classes.chosen == 3
    assert evidence.found
    assert len(evidence.per_class) == 3
    assert all(loss.low > 0 for loss in evidence.per_class)
    assert evidence.spread and not evidence.spread.continuum
    assert evidence.discrete_classes == 3


@pytest.mark.slow
def test_a_continuum_is_not_called_states():
    line = np.zeros((3000, 3))
    line[:, 0] = np.linspace(-3, 3, 3000)
    statistics, _ = planted(3000, line, strength=8.0)
    evidence = held_out_evidence(halves_of(statistics), [2, 3, 4], seeds=6)
    assert evidence.classes.chosen > 1  # the pieces of a line explain more than its mean
    assert evidence.spread and evidence.spread.continuum
    assert evidence.discrete_classes == 1 and not evidence.found


def test_the_spread_of_classes_is_integrated_out():
    statistics, _ = planted(5, np.zeros((1, 2)), 3)
    z, weights = np.array([[1.0, 0.5], [-1.0, 0.0]]), np.array([0.6, 0.4])
    rng = np.random.default_rng(0)
    centred = z - weights @ z
    between = (centred * weights[:, None]).T @ centred / 3  # of K² − 1 = 3 pieces
    drawn = rng.multivariate_normal(np.zeros(2), between, 400_000)
    g, big_g = statistics.linear().astype(float), statistics.quadratic().astype(float)
    total = np.zeros(5)
    for centre, weight in zip(z, weights):
        at = centre + drawn
        ell = g @ at.T - 0.5 * np.einsum("mi,nij,mj->nm", at, big_g, at)
        total += weight * np.exp(ell).mean(1)
    # Averages of 400,000 draws.
    np.testing.assert_allclose(spread_gain(statistics, z, weights, 1.0), np.log(total), atol=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_evidence_of_noise_is_one_class(seed):
    statistics, _ = planted(1000, np.zeros((1, 3)), seed)
    evidence = held_out_evidence(halves_of(statistics), [2, 3], seeds=10)
    assert evidence.components.chosen == 0
    assert evidence.classes.chosen == 1
    assert not evidence.found
    assert "no number of classes" in evidence.classes.reason


def test_component_gains_are_differences_of_gaussian_evidence(three_classes):
    statistics, _ = three_classes
    gains = component_gains(statistics)
    g, big_g = statistics.linear()[3].astype(float), statistics.quadratic()[3].astype(float)
    for j in (1, 2, 3):
        system = big_g[:j, :j] + np.eye(j)
        expected = 0.5 * g[:j] @ np.linalg.solve(system, g[:j])
        expected -= 0.5 * np.linalg.slogdet(system)[1]
        np.testing.assert_allclose(gains[j, 3], expected, rtol=1e-8)
    choice = choose_number(gains, range(4), None, "components")
    assert choice.chosen == 2  # the third coordinate is zero everywhere


def test_classes_may_ask_for_a_component_that_a_gaussian_does_not_show():
    # One in a hundred particles is far off along a coordinate that does not vary otherwise.
    n, rng = 3000, np.random.default_rng(5)
    z = np.zeros((n, 2))
    z[:, 0] = rng.choice([-2.0, 2.0], n)
    z[:, 1] = np.where(rng.random(n) < 0.01, 4.5, 0.0)
    statistics, _ = planted(n, z, strength=1.0)
    micrographs = np.arange(n) // 50
    plain, tried = (
        held_out_evidence(halves_of(statistics), [2, 3], micrographs, 6, all_components=every)
        for every in (False, True)
    )
    assert (plain.components.chosen, plain.classes.chosen) == (1, 2)
    assert (tried.components.chosen, tried.classes.chosen) == (2, 3)
    assert "3 classes in 2 components" in tried.components.reason
