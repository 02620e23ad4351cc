"""Another state, or one state cut in two: what runs with classes to spare say."""

import numpy as np
import pytest

from emjax.consensus.build import build_consensus
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.planted import cut_class, plant_groups


def classes_of(labels: np.ndarray, n_classes: int | str = "auto") -> dict[str, np.ndarray]:
    names = [f"r{s:02d}" for s in range(labels.shape[1])]
    options = ConsensusOptions(resamples=0, n_classes=n_classes)
    return build_consensus(labels, names, options=options).classes


def test_states_that_free_runs_keep_apart_are_distinct():
    planted = plant_groups(3, [3] * 2 + [5] * 6, 0.08, 3000, np.random.default_rng(0), 0.2)
    found = classes_of(planted.labels)
    assert found["runs_free"].tolist() == [6] * 3
    assert found["distinct"].all() and (found["apart_p_value"] < 0.02).all()
    assert (found["nearest"] != found["class"]).all()


def test_runs_that_had_to_make_as_many_classes_prove_nothing():
    planted = plant_groups(3, [3] * 8, 0.08, 3000, np.random.default_rng(1), 0.2)
    found = classes_of(planted.labels)
    assert (found["runs_free"] == 0).all() and (found["apart_p_value"] == 1).all()
    assert not found["distinct"].any()


@pytest.mark.parametrize("sharing", [1, 5, 10])
def test_a_class_cut_at_random_is_not_distinct_from_its_other_part(sharing):
    rng = np.random.default_rng(sharing)
    planted = plant_groups(3, [3] * 10, 0.08, 3000, rng, 0.2)
    labels = cut_class(planted.labels, planted.truth, sharing, rng)
    options = ConsensusOptions(resamples=0, n_classes=4)
    found = build_consensus(labels, [f"r{s}" for s in range(10)], options=options)
    inside = found.labels[planted.truth == 0]
    parts = np.argsort(np.bincount(inside, minlength=4))[-2:]
    assert not found.classes["distinct"][parts].any()


def test_one_class_has_no_nearest():
    found = classes_of(np.random.default_rng(2).integers(0, 3, (500, 4)))
    assert found["nearest"].tolist() == [-1] and not found["distinct"].any()
