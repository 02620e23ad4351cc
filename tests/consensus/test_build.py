"""The consensus as a whole: order of runs, posteriors, weights, choices, degenerate input."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import adjusted_rand_score

from emjax.consensus.build import Consensus, build_consensus
from emjax.consensus.elbows import ELBOWS
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.planted import plant_groups
from emjax.consensus.tree import cut_tree
from emjax.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "id trace size expected_size p_value q_value relative_size xmipp_size_p xmipp_relative_p "
    "kept consensus_class representative"
).split()


def build(labels: np.ndarray, posteriors=None, **options) -> Consensus:
    names = [f"em3d-K04-s{s:03d}" for s in range(labels.shape[1])]
    chosen = {"resamples": 2, "max_classes": 10} | options
    return build_consensus(labels, names, posteriors, ConsensusOptions(**chosen))


@pytest.fixture(scope="module")
def planted():
    return plant_groups(4, [4, 4, 5, 3, 4], 0.08, 2000, np.random.default_rng(0), 0.1)


def test_planted_states_are_found_and_significant(planted):
    found = build(planted.labels)
    assert found.number.recommended == found.number.chosen == 4
    assert adjusted_rand_score(planted.truth, found.labels) > 0.95
    assert (found.classes["q_value"] < 1e-6).all()
    assert found.classes["significant"].all()
    assert list(found.intersections) == COLUMNS
    assert {len(column) for column in found.intersections.values()} == {
        len(found.intersections["id"])
    }
    assert (np.diff(found.classes["size"]) <= 0).all()
    np.testing.assert_allclose(found.posteriors.sum(axis=1), 1, atol=1e-5)
    assert found.linkage.shape == (found.intersections["kept"].sum() - 1, 4)


def test_order_of_the_runs_changes_nothing(planted):
    names, groups = ["b-s0", "a-s0", "a-s1", "c", "d"], ["b", "a", "a", "c", "d"]
    options = ConsensusOptions(resamples=2, max_classes=8)
    likelihood = np.array([1.0, 3.0, 2.0, np.nan, 5.0])
    one = build_consensus(
        planted.labels, names, None, options, log_likelihood=likelihood, run_groups=groups
    )
    order = [3, 0, 4, 2, 1]
    other = build_consensus(
        planted.labels[:, order],
        [names[s] for s in order],
        None,
        options,
        log_likelihood=likelihood[order],
        run_groups=[groups[s] for s in order],
    )
    assert one.run_names == other.run_names
    assert sorted(one.run_weights)[0] < 1 and (one.run_weights == other.run_weights).all()
    assert one.number == other.number
    np.testing.assert_array_equal(one.linkage, other.linkage)
    np.testing.assert_array_equal(one.labels, other.labels)
    for column in COLUMNS:
        np.testing.assert_array_equal(one.intersections[column], other.intersections[column])


def test_posteriors_weaken_doubtful_votes():
    truth = np.repeat([0, 1], 300)
    labels = np.repeat(truth[:, None], 3, axis=1)
    # Particle 0: two runs put it wrongly at 0.51, one rightly at 0.99.
    labels[0] = [1, 1, 0]
    posteriors = [np.where(np.eye(2)[labels[:, s]] > 0, 0.99, 0.01) for s in range(3)]
    for s in (0, 1):
        posteriors[s][0] = [0.49, 0.51]
    # The largest class comes first, so it is compared with a particle of the same truth.
    hard, soft = build(labels), build(labels, posteriors)
    assert hard.labels[0] != hard.labels[1]
    assert soft.labels[0] == soft.labels[1]


def test_runs_with_and_without_posteriors_go_together(planted):
    soft = np.full((2000, 4), 0.02) + 0.92 * np.eye(4)[planted.labels[:, 0]]
    found = build(planted.labels, [soft, None, None, None, None])
    assert found.number.recommended == 4
    assert adjusted_rand_score(planted.truth, found.labels) > 0.95


@pytest.mark.parametrize("wanted", [1, 2, 3, 6, "3", *ELBOWS])
def test_any_number_can_be_asked_for(planted, wanted):
    found = build(planted.labels, n_classes=wanted, max_linked=60)
    number = int(wanted) if wanted not in ELBOWS else found.number.elbows.of(wanted)
    assert found.number.chosen == number == len(found.classes["size"])
    assert found.number.recommended == 4
    assert (np.bincount(found.labels, minlength=number) > 0).all()
    assert found.number.labelled_by == "tree"


@pytest.mark.parametrize("wanted", [*range(1, 31), *ELBOWS])
def test_a_number_or_an_elbow_is_the_cut_of_the_tree_that_is_written(planted, wanted):
    found = build(planted.labels, n_classes=wanted, max_linked=60, resamples=0)
    number = int(wanted) if wanted not in ELBOWS else found.number.elbows.of(wanted)
    drawn = found.intersections["consensus_class"][found.intersections["kept"]][:60]
    cut = cut_tree(found.linkage, number)[:60]
    # Every group is in one class, and every class is one part of the cut.
    assert len(set(zip(cut, drawn, strict=True))) == number == drawn.max() + 1
    assert (found.labels == found.intersections["consensus_class"][found.intersection - 1]).all()
    assert (found.labels >= 0).all() and (found.set_aside == "").all()


def test_more_classes_than_groups_are_refused_with_the_largest_number(planted):
    with pytest.raises(OptionError, match="consensus.n_classes: found 61, expected at most 60"):
        build(planted.labels, n_classes=61, max_linked=60)
    with pytest.raises(OptionError, match="expected at most 2"):
        build(np.repeat([[0, 1], [1, 0]], 20, axis=0), n_classes=3)


def test_labelling_by_the_model_is_an_option_by_name(planted):
    by_model = build(planted.labels, n_classes=3, labelling="model")
    assert by_model.number.labelled_by == "model"
    assert len(by_model.classes["size"]) == 3
    by_tree = build(planted.labels, labelling="tree")
    assert (by_tree.number.labelled_by, by_tree.number.chosen) == ("tree", 4)
    assert (by_tree.labels >= 0).all()
    with pytest.raises(OptionError, match="consensus.labelling"):
        build(planted.labels, labelling="linkage")


def test_classes_of_an_elbow_have_stability_and_intervals(planted):
    found = build(planted.labels, n_classes="distance_line", max_linked=60)
    classes = found.classes
    # The interval is that of the share of all particles, those not drawn too.
    assert (classes["occupancy_low"] < classes["occupancy_high"]).all()
    assert ((classes["mean_stability"] > 0) & (classes["mean_stability"] <= 1)).all()


def test_matching_names_each_class_in_every_other_run(planted):
    found = build(planted.labels)
    table = found.matching
    # Runs of 4, 4, 5, 3 and 4 classes, each beside four others and the consensus.
    assert len(table["run"]) == 20 * 5
    own = (table["other"] == "consensus") & (table["run"] == found.run_names[0])
    assert sorted(table["partner"][own]) == [0, 1, 2, 3]
    assert (table["share"][own] > 0.8).all() and (table["jaccard"][own] > 0.8).all()
    # The third run has one class more than any other.
    many = (table["run"] == found.run_names[2]) & (table["other"] == found.run_names[0])
    assert (table["partner"][many] == -1).sum() == 1
    assert (table["share"][table["partner"] == -1] == 0).all()


def test_every_option_can_be_set_in_the_configuration():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    options = schema["properties"]["consensus"]["properties"]
    assert {f.name: f.default for f in fields(ConsensusOptions)} == {
        name: option["default"] for name, option in options.items() if name != "on_mismatch"
    }
    assert set(options["n_classes"]["anyOf"][0]["enum"]) == {"auto", *ELBOWS}


def test_unknown_choice_is_refused(planted):
    for wanted in ("best", 0, -1):
        with pytest.raises(ValueError, match="consensus.n_classes"):
            build(planted.labels, n_classes=wanted)


RNG = np.random.default_rng(1)
DEGENERATE = {
    "one run": (RNG.integers(0, 3, (200, 1)), 3, "unreplicated"),
    "one intersection": (np.zeros((50, 3), dtype=int), 1, "one"),
    "K = 1 beside K = 3": (
        np.stack([np.zeros(200, int), RNG.integers(0, 3, 200)], axis=1),
        3,
        "unreplicated",
    ),
    "twice one run": (RNG.integers(0, 3, (200, 1)).repeat(2, axis=1), 3, "unreplicated"),
    "one particle": (np.zeros((1, 2), dtype=int), 1, "one"),
    "an empty class": (
        # Equal runs would be one run: a particle differs in each.
        np.repeat([0, 2], 100)[:, None] ^ (2 * np.eye(200, 3, dtype=int)),
        2,
        "classes",
    ),
    "noise": (RNG.integers(0, 4, (400, 4)), 1, "one"),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_input_has_a_defined_answer(case):
    labels, number, verdict = DEGENERATE[case]
    found = build(labels)
    assert found.number.recommended == number
    assert found.number.verdict == verdict
    assert found.number.why.endswith(".")
    if verdict != "classes":
        assert (found.classes["q_value"] > 0.05).all()
    assert np.isfinite(found.stability).all()
    assert (np.bincount(found.labels + 1)[1:] > 0).all()
    written = json.loads(json.dumps(found.number.record()))
    assert written["verdict"] == verdict and set(ELBOWS) < set(written)


@pytest.mark.parametrize("wanted", ["auto", 5, "origin"])
def test_small_intersections_are_pruned_with_their_particles(planted, wanted):
    found = build(planted.labels, min_class_size=20, n_classes=wanted)
    size = found.intersections["size"][found.intersection - 1]
    np.testing.assert_array_equal(found.set_aside == "pruned", size < 20)
    assert (found.labels[size < 20] == -1).all()
    np.testing.assert_array_equal(found.intersections["kept"], found.intersections["size"] >= 20)


def test_what_leaves_no_particle_is_refused(planted):
    largest = build(planted.labels).intersections["size"][0]
    expected = f"min_class_size: found 1500, expected at most {largest}"
    with pytest.raises(OptionError, match=expected):
        build(planted.labels, min_class_size=1500)
    with pytest.raises(OptionError, match="consensus.min_stability: found 1.5, expected at most"):
        build(planted.labels, min_stability=1.5)
    with pytest.raises(OptionError, match="consensus.min_posterior: found 1.5, expected at most"):
        build(planted.labels, min_posterior=1.5)


def test_a_particle_without_a_class_says_why(planted):
    found = build(planted.labels, min_posterior=0.9, min_stability=0.6)
    between, pruned = (found.set_aside == reason for reason in ("between", "pruned"))
    np.testing.assert_array_equal(between, found.class_posterior < 0.9)
    np.testing.assert_array_equal(pruned, ~between & (found.stability < 0.6))
    np.testing.assert_array_equal(found.labels == -1, between | pruned)
    assert between.any() and pruned.any()


def test_particles_no_run_assigned_stay_unassigned(planted):
    labels = planted.labels.copy()
    labels[:7] = -1
    labels[7:20, 1:] = -1
    found = build(labels)
    for values in (found.stability, found.class_posterior, found.intersection, found.labels + 1):
        assert (values[:7] == 0).all()
    assert (found.set_aside[:7] == "").all()
    # They count in no size and no share.
    without = build(labels[7:])
    for name, column in without.classes.items():
        np.testing.assert_array_equal(found.classes[name], column)
    np.testing.assert_array_equal(found.labels[7:], without.labels)
    assert found.number.recommended == 4
    strict = build(labels, min_stability=0.9)
    assert (strict.labels == -1).sum() > (found.labels == -1).sum()
    assert (strict.stability[strict.labels >= 0] >= 0.9).all()


def test_input_that_does_not_fit_is_refused():
    labels = np.zeros((10, 2), dtype=int)
    with pytest.raises(ValueError, match="one column for each"):
        build_consensus(labels, ["a"])
    with pytest.raises(ValueError, match="twice"):
        build_consensus(labels, ["a", "a"])
    with pytest.raises(ValueError, match="no particles"):
        build_consensus(labels[:0], ["a", "b"])
    with pytest.raises(ValueError, match="no run assigned any of 10 particles"):
        build_consensus(labels - 1, ["a", "b"])
    with pytest.raises(ValueError, match="posteriors of b"):
        build_consensus(labels, ["a", "b"], [None, np.ones((9, 1))])
    with pytest.raises(ValueError, match="posteriors of a: not all finite"):
        build_consensus(labels, ["a", "b"], [np.full((10, 1), np.nan), None])
