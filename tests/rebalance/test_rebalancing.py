"""Classes to superclasses and even sizes, as a campaign asks for it."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from emjax.campaign.alone import ONLY_ALONE
from emjax.errors import OptionError
from emjax.rebalance.rebalancing import RebalanceOptions, rebalance_classes

ROOT = Path(__file__).resolve().parents[2]
# Classes 1 and 2 are similar, class 3 is another thing.
AFFINITY = np.array([[1.0, 0.95, 0.1], [0.95, 1.0, 0.1], [0.1, 0.1, 1.0]])
LABELS = np.repeat([0, 1, 2, -1], [60, 40, 50, 10])


def test_only_particles_of_no_class_are_excluded_by_default():
    found = rebalance_classes(LABELS, AFFINITY, RebalanceOptions(superclasses=2))
    np.testing.assert_array_equal(found.kept, LABELS >= 0)
    assert found.cap is None
    np.testing.assert_array_equal(found.superclasses.labels, [0, 0, 1])
    np.testing.assert_array_equal(found.superclass, np.repeat([0, 0, 1, -1], [60, 40, 50, 10]))
    np.testing.assert_array_equal(found.sizes, [60, 40, 50])


def test_superclasses_become_even_and_the_table_adds_up():
    found = rebalance_classes(LABELS, AFFINITY, RebalanceOptions(superclasses=2, factor=1.0))
    assert np.bincount(found.superclass[found.kept]).tolist() == [50, 50]
    table = found.table()
    assert table["superclass"].tolist() == [1, 1, 2]
    np.testing.assert_array_equal(table["kept"] + table["excluded"], table["size"])
    assert table["kept"].sum() == found.kept.sum() == 100
    record = json.loads(json.dumps(found.record()))
    assert (record["kept"], record["excluded"], record["cap"]) == (100, 60, 50)
    assert record["unassigned"] == 10
    said = "2 superclasses; 100 of 160 particles kept, 10 belong to no class"
    assert found.sentences()[0] == said
    everyone = rebalance_classes(LABELS[:150], AFFINITY, RebalanceOptions(superclasses=2))
    assert everyone.sentences()[0] == "2 superclasses; 150 of 150 particles kept"


def test_a_largest_size_is_named_with_its_factor():
    options = RebalanceOptions(superclasses=2, factor=1.0, max_superclass_size=100)
    found = rebalance_classes(LABELS, AFFINITY, options)
    assert found.cap == 100 and found.equivalent_factor == 0.5
    assert "at most 100 per superclass, as with factor 0.5" in found.sentences()


def test_only_the_classes_that_are_named_are_kept():
    options = RebalanceOptions(superclassify=False, keep=[1, 3])
    found = rebalance_classes(LABELS, AFFINITY, options)
    np.testing.assert_array_equal(found.kept, (LABELS == 0) | (LABELS == 2))
    assert found.table()["superclass"].tolist() == [1, 0, 2]
    assert found.record()["keep"] == [1, 3]


def test_small_classes_are_excluded():
    options = RebalanceOptions(superclassify=False, min_class_size=50)
    found = rebalance_classes(LABELS, AFFINITY, options)
    np.testing.assert_array_equal(found.superclasses.labels, [0, -1, 1])
    assert not found.kept[LABELS == 1].any()


def test_empty_and_blank_classes_are_left_out_and_named():
    affinity = np.eye(5)
    affinity[:3, :3] = AFFINITY
    blank = np.array([False, False, False, True, True])
    labels = np.concatenate([LABELS, np.full(7, 4)])
    found = rebalance_classes(labels, affinity, RebalanceOptions(superclasses=2), blank)
    np.testing.assert_array_equal(found.superclasses.labels, [0, 0, 1, -1, -1])
    assert found.left_out == {"no particle": [4], "blank average": [5]}
    assert not found.kept[labels == 4].any()
    assert "left out, blank average: class 5" in found.sentences()
    every = rebalance_classes(LABELS, np.eye(4), RebalanceOptions(min_class_size=0, superclasses=4))
    assert every.left_out == {} and every.superclasses.labels.min() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            RebalanceOptions(keep=[2, 4]),
            "rebalance.keep: found class 4, expected numbers of 1 to 3",
        ),
        (
            RebalanceOptions(superclasses=4),
            "rebalance.superclasses: found 4, expected auto or 1 to 3",
        ),
        (RebalanceOptions(max_superclass_size=9), "max_superclass_size: found 9 with factor 0"),
    ],
)
def test_options_that_do_not_fit_the_classes_are_errors(options: RebalanceOptions, message: str):
    with pytest.raises(OptionError, match=message):
        rebalance_classes(LABELS, AFFINITY, options)


def test_every_option_can_be_set_in_the_configuration():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    options = schema["properties"]["rebalance"]["properties"]
    assert {f.name: f.default for f in fields(RebalanceOptions)} == {
        name: option["default"]
        for name, option in options.items()
        if f"rebalance.{name}" not in ONLY_ALONE
    }
