"""What counts as a replication: weights of runs on an absolute scale, repeats counted once."""

import numpy as np
import pytest

from emjax.consensus.build import Consensus, build_consensus
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.planted import plant_groups
from emjax.consensus.runs import MIN_WEIGHT, order_runs, weigh_runs


def build(labels: np.ndarray, **facts) -> Consensus:
    names = [f"em3d-K04-s{s:03d}" for s in range(labels.shape[1])]
    options = ConsensusOptions(resamples=2, max_classes=8)
    return build_consensus(labels, names, options=options, **facts)


@pytest.fixture(scope="module")
def planted():
    return plant_groups(4, [4] * 4, 0.08, 2000, np.random.default_rng(0), 0.1)


def test_a_weight_is_the_likelihood_ratio_of_a_particle_within_the_group():
    likelihood = np.array([10.0, 9.0, np.nan, 500.0, 500.0, -1e6])
    weights = weigh_runs(likelihood, ["a", "a", "a", "b", "b", "b"])
    np.testing.assert_allclose(weights, [1, np.exp(-1), 1, 1, 1, MIN_WEIGHT])


@pytest.mark.parametrize("n_runs", [2, 3, 10])
def test_runs_of_one_quality_weigh_the_same_however_small_their_spread(n_runs):
    weights = weigh_runs(126.66 + 1e-3 * np.arange(n_runs), ["a"] * n_runs)
    assert weights.min() > 0.99


def test_every_pair_of_good_runs_replicates_the_classes(planted):
    for pair in ([0, 1], [0, 2], [1, 3]):
        found = build(
            planted.labels[:, pair],
            log_likelihood=np.array([126.66, 126.67]),
            run_groups=["em3d 4"] * 2,
        )
        assert found.number.recommended == 4


def test_equal_runs_are_one_run_whatever_the_order_of_their_classes(planted):
    renamed = np.array([2, 0, 3, 1])[planted.labels[:, 0]]
    found = build(np.stack([planted.labels[:, 0], renamed], axis=1))
    assert found.counted_with.tolist() == [0, 0]
    assert found.run_weights.tolist() == [1, 0]
    assert found.number.verdict == "unreplicated"
    assert "em3d-K04-s001 with em3d-K04-s000 counts once" in found.number.why
    # One particle more or less and they are two.
    renamed[0] = (renamed[0] + 1) % 4
    assert build(np.stack([planted.labels[:, 0], renamed], axis=1)).counted_with.tolist() == [0, 1]


def test_equal_labels_with_other_posteriors_are_two_runs(planted):
    labels = planted.labels[:, [0, 0, 0]]
    table = np.eye(4, dtype=np.float32)[labels[:, 0]] * 0.9 + 0.025
    other = table.copy()
    other[0] = [0.9, 0.05, 0.03, 0.02] if labels[0, 0] == 0 else other[0][::1] * 0.5
    runs = order_runs(labels, ["a", "b", "c"], [table, other, table.copy()])
    assert runs.counted_with.tolist() == [0, 1, 0]
    assert runs.independent().names == ["a", "b"]


def test_the_best_of_the_runs_with_one_start_stands_for_them(planted):
    facts = {"starts": ["som", "som", "som", "x"], "run_groups": ["som"] * 3 + ["x"]}
    found = build(planted.labels, log_likelihood=np.array([1.0, 3.0, 2.0, np.nan]), **facts)
    assert found.counted_with.tolist() == [1, 1, 1, 3]
    assert list(found.intersections["trace"])[0].count("&") == 1
    assert "em3d-K04-s000, em3d-K04-s002 with em3d-K04-s001 count once" in found.number.why


def test_unassigned_particles_are_part_of_what_is_equal():
    one = np.array([0, 0, 1, 1, -1, 1])
    other = np.array([1, 1, 0, 0, 0, -1])
    assert order_runs(np.stack([one, other], 1), ["a", "b"]).counted_with.tolist() == [0, 1]


@pytest.mark.parametrize("soft", [False, True])
def test_a_single_run_passes_its_labels_through(planted, soft):
    labels = np.where(np.arange(2000) % 50 == 0, -1, 2 * planted.labels[:, 0])  # odd ones empty
    # Posteriors below the default threshold, as those of a map of 49 nodes.
    table = (np.eye(7)[np.maximum(labels, 0)] * 0.2 + 0.8 / 7).astype(np.float32)
    found = build_consensus(labels[:, None], ["som-7x7-s000"], [table] if soft else None)
    assert found.number.verdict == "unreplicated" and "Not replicated" in found.number.why
    assert found.number.labelled_by == "run"
    pairs = set(zip(labels.tolist(), found.labels.tolist(), strict=True))
    assert len(pairs) == 5 and (-1, -1) in pairs and {b for _, b in pairs} == set(range(-1, 4))
    assert (found.set_aside == "").all()
