"""The recommended number: planted groups, merges, shared ambiguity, continua, nothing at all."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.consensus.choose import Choice, choose_number
from emjax.consensus.intersections import count_classes
from emjax.consensus.latent import Votes, assign_posterior, tabulate_labels
from emjax.consensus.planted import cut_gradient, plant_groups


def votes_of(labels: np.ndarray, weights: np.ndarray | None = None) -> Votes:
    weights = np.ones(labels.shape[1]) if weights is None else weights
    return tabulate_labels(labels, np.ones(len(labels)), count_classes(labels), weights)


def choose(labels: np.ndarray, **options) -> Choice:
    return choose_number(votes_of(labels), np.random.default_rng(0), 12, resamples=2, **options)


@pytest.mark.parametrize(
    ("n_groups", "n_classes", "noise"),
    [(2, [2, 3, 4, 6], 0.3), (4, [4] * 5, 0.15), (4, [3, 4, 5, 6, 8, 2], 0.2), (8, [8] * 6, 0.1)],
)
def test_planted_groups_are_counted(n_groups, n_classes, noise):
    planted = plant_groups(n_groups, n_classes, noise, 2500, np.random.default_rng(5), 0.05)
    choice = choose(planted.labels)
    assert choice.recommended == n_groups
    assert choice.verdict == "classes"
    assert choice.unexplained < 0.02
    assert str(n_groups) in choice.reason


def test_runs_that_merge_and_split_do_not_mislead():
    rng = np.random.default_rng(6)
    truth = rng.choice(4, 3000, p=[0.4, 0.3, 0.2, 0.1])
    half = rng.integers(0, 2, (3000, 2))
    wrong = [np.where(truth == 0, h * 3, np.minimum(truth, 2)) for h in half.T]
    labels = np.stack([truth, truth, truth, *wrong], axis=1)
    flip = rng.random(labels.shape) < 0.02
    labels[flip] = rng.integers(0, 4, flip.sum())
    choice = choose(labels)
    assert choice.recommended == 4
    found = assign_posterior(votes_of(labels), choice.model)[0].argmax(axis=1)
    assert adjusted_rand_score(truth, found) > 0.97


def test_particles_between_two_states_are_no_third():
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, 3000)
    between = rng.random(3000) < 0.15
    labels = np.repeat(truth[:, None], 6, axis=1)
    labels[between] = rng.integers(0, 2, (between.sum(), 6))
    assert choose(labels).recommended == 2


def test_cuts_through_a_gradient_are_a_continuum():
    labels = cut_gradient([5, 6, 4, 7, 5, 6], 0.05, 3000, np.random.default_rng(8))
    choice = choose(labels)
    assert choice.verdict == "continuum"
    assert choice.recommended == 1
    assert "continuum" in choice.reason


def test_random_labels_are_one_class():
    labels = np.random.default_rng(9).integers(0, 4, (1500, 5))
    choice = choose(labels)
    assert (choice.recommended, choice.verdict) == (1, "one")


def test_debris_is_no_class():
    rng = np.random.default_rng(10)
    labels = np.zeros((1000, 5), dtype=int)
    odd = rng.choice(1000, 9, replace=False)
    labels[odd] = rng.integers(1, 4, (9, 5))
    assert choose(labels, min_fraction=0.015).recommended == 1


def test_held_out_likelihood_has_the_last_word():
    planted = plant_groups(4, [4] * 5, 0.1, 2000, np.random.default_rng(11), 0.1)
    choice = choose(planted.labels, max_classes_supported=2)
    assert choice.recommended == 2
    assert "held-out" in choice.reason


@pytest.mark.parametrize("runs", [1, 4])
def test_classes_that_explain_no_unseen_particle_are_none(runs):
    planted = plant_groups(3, [3] * runs, 0.1, 1000, np.random.default_rng(12), 0.1)
    choice = choose(planted.labels, max_classes_supported=1)
    assert (choice.recommended, choice.verdict) == (1, "one")
    assert "No discrete heterogeneity found" in choice.reason
