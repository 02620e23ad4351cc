"""Classes settled in a basis, and held-out particles that tell each from its nearest."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.subspace.mixture import posteriors_and_gain
from emjax.classify.subspace.settle import (
    HeldOut,
    class_coordinates,
    compare_classes,
    settle_classes,
)
from emjax.classify.subspace.statistics import Statistics, pack

N, CENTRES = 3000, np.array([[2.0, 0, 0], [-1.5, 1, 0], [0, -2, 0.5]])


def draw(seed: int, n: int = N, centres: np.ndarray = CENTRES) -> tuple[Statistics, np.ndarray]:
    """Particles of known states: g = G z + noise of covariance G."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(centres), n, p=np.arange(len(centres), 0, -1) / 6)
    root = np.eye(3) * rng.uniform(1.0, 2.0, (n, 1, 1)) + 0.1 * rng.normal(size=(n, 3, 3))
    quadratic = root @ np.swapaxes(root, 1, 2)
    noise = np.einsum("nij,nj->ni", root, rng.normal(size=(n, 3)))
    linear = np.einsum("nij,nj->ni", quadratic, centres[truth]) + noise
    return Statistics(pack(linear, quadratic).astype(np.float32), np.zeros(n), 3), truth


@pytest.fixture(scope="module", name="held_out")
def held_out_case() -> tuple[HeldOut, np.ndarray]:
    statistics, truth = draw(0)
    blocks = np.arange(N) // 30
    return HeldOut(statistics, blocks % 2 + 1, 3, blocks), truth


def onehot(labels: np.ndarray, k: int) -> np.ndarray:
    return (labels[:, None] == np.arange(k)).astype(np.float32)


def test_means_of_true_members_are_the_centres():
    statistics, truth = draw(1)
    z, shares = class_coordinates(statistics, onehot(truth, 3))
    np.testing.assert_allclose(z, CENTRES, atol=0.1)
    np.testing.assert_allclose(shares, np.bincount(truth) / N, atol=1e-6)


def test_settling_mends_labels_and_keeps_the_order_of_the_classes():
    statistics, truth = draw(2)
    rng = np.random.default_rng(3)
    wrong = np.where(rng.random(N) < 0.3, rng.integers(0, 3, N), truth)
    # The smallest class first: it stays there.
    z, shares = settle_classes(statistics, onehot((wrong + 1) % 3, 3))
    assert np.argmin(shares) == 0
    labels = posteriors_and_gain(statistics, z, shares)[0].argmax(1)
    assert np.mean(labels == (truth + 1) % 3) > 0.97
    assert adjusted_rand_score(truth, labels) > adjusted_rand_score(truth, wrong) + 0.3


def test_states_are_distinct(held_out):
    case, truth = held_out
    found = compare_classes(case, onehot(truth, 3))
    assert all(one.distinct and one.gain.low > 0 for one in found)
    assert all(one.nearest != c for c, one in enumerate(found))


def test_a_class_cut_at_random_is_hardly_ever_two(held_out):
    case, truth = held_out
    rng, called, cuts = np.random.default_rng(4), 0, 100
    for _ in range(cuts):
        state, part = rng.integers(3), rng.uniform(0.1, 0.9)
        labels = np.where((truth == state) & (rng.random(N) < part), 3, truth)
        found = compare_classes(case, onehot(labels, 4))
        called += found[state].distinct and found[3].distinct
        assert found[3].nearest == state
    assert called <= 0.05 * cuts


def test_a_fragment_casts_doubt_on_itself_alone(held_out):
    case, truth = held_out
    labels = truth.copy()
    labels[np.flatnonzero(truth == 1)[:20]] = 3
    found = compare_classes(case, onehot(labels, 4))
    assert [one.distinct for one in found] == [True, True, True, False]
    assert found[3].nearest == 1


def test_particles_of_no_class_count_in_none(held_out):
    """Of a small first class and a quarter of no class: the others are judged as without these."""
    case, truth = held_out
    labels = np.where(truth == 2, 0, truth + 1)
    members = onehot(labels, 3)
    aside = np.random.default_rng(9).random(N) < 0.25
    members[aside] = 0
    found = compare_classes(case, members)
    assert all(one.distinct for one in found)
    alone = compare_classes(case.select(np.flatnonzero(~aside)), members[~aside])
    assert [one.nearest for one in found] == [one.nearest for one in alone]


def test_a_cut_that_follows_the_noise_is_not_two_states(held_out):
    """As runs do that agree on a cut: by the particles' own coordinate."""
    case, truth = held_out
    means = case.statistics.linear() / case.statistics.powers()
    cut = means[:, 2] > np.median(means[truth == 0, 2])
    found = compare_classes(case, onehot(np.where((truth == 0) & cut, 3, truth), 4))
    assert not found[0].distinct and not found[3].distinct
    assert found[1].distinct and found[2].distinct


def test_without_components_nothing_is_distinct(held_out):
    case, truth = held_out
    blind = HeldOut(case.statistics, case.fold, 0, case.blocks)
    assert not any(one.distinct for one in compare_classes(blind, onehot(truth, 3)))
    assert compare_classes(case, onehot(np.zeros(N, int), 1)) == []
