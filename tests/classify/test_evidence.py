"""Intervals, the choice of a number, and what evidence.json holds."""

import json

import numpy as np
import pytest

from emjax.classify.evidence import (
    NOTHING_FOUND,
    block_interval,
    choose_another,
    choose_number,
    evidence_curve,
    evidence_record,
    least_gain,
    verdict,
)
from emjax.classify.pose_error import PoseError


def test_intervals_over_micrographs_see_shared_errors():
    rng = np.random.default_rng(0)
    micrographs = np.repeat(np.arange(50), 40)
    shared = rng.normal(size=50)[micrographs] + 0.1 * rng.normal(size=2000)
    single, blocked = block_interval(shared), block_interval(shared, micrographs)
    assert blocked.high - blocked.low > 4 * (single.high - single.low)
    assert single.value == blocked.value


def test_the_interval_of_independent_values_is_that_of_their_sum():
    values = np.random.default_rng(1).normal(2.0, 3.0, 400)
    found = block_interval(values)
    assert found.value == pytest.approx(values.sum())
    assert found.high - found.value == pytest.approx(1.959964 * values.std(ddof=1) * 20)


@pytest.fixture
def gains():
    """Each particle gains 1 nat by two classes, and nothing but noise by a third."""
    noise = np.random.default_rng(0).normal(0, 0.5, (3, 500))
    return np.array([[0.0], [1.0], [1.0]]) + noise


def test_the_smallest_number_that_none_beats_is_chosen(gains):
    found = choose_number(gains, [1, 2, 3], None, "classes")
    assert found.chosen == 2 and found.reason.startswith("2 classes raise")
    assert [g.low > 0 for g in found.gains] == [False, True, True]
    # Of the same particles: the third candidate is the second with other noise.
    second, third = found.differences[1:]
    assert (second.value, second.low, second.high) == (0, 0, 0) and third.low < 0 < third.high
    assert third.high - third.low < found.gains[2].high - found.gains[2].low
    alone = choose_number(gains[[0, 0]], [1, 2], None, "classes")
    assert alone.chosen == 1 and "no number of classes above 1" in alone.reason
    assert verdict(alone) == NOTHING_FOUND != verdict(found)


def test_more_than_the_largest_candidate_was_not_tried(gains):
    last = choose_number(gains[:2], [1, 2], None, "classes")
    assert last.chosen == 2 and last.reason.endswith("more were not tried")
    found = choose_number(gains, [1, 2, 3], None, "classes")
    assert found.reason.endswith("no more of them raises it further")


def test_another_choice_is_compared_with_the_others(gains):
    found = choose_number(gains, [1, 2, 3], None, "classes")
    other = choose_another(found, 1, "poses", gains, None)
    assert (other.chosen, other.reason, other.gains) == (1, "poses", found.gains)
    assert other.differences == found.gains


def test_a_certain_gain_that_is_too_small_does_not_count():
    n = 5000
    least = least_gain(n)
    assert least == 50.0 and least_gain(10) == 5.0
    gains = np.zeros((2, n))
    for factor, chosen in ((0.9, 1), (1.1, 2)):
        gains[1] = factor * least / n
        assert choose_number(gains, [1, 2], None, "classes").chosen == chosen


def test_a_record_holds_what_every_reader_needs(gains):
    found = choose_number(gains, [1, 2, 3], None, "classes")
    record = evidence_record(verdict(found), 2, found, found.gains[1:2], PoseError(1.0, 2.0))
    read = json.loads(json.dumps(record))
    assert read["verdict"] == "2 classes raise the held-out likelihood"
    assert read["discrete_classes"] == read["classes"]["chosen"] == 2
    assert read["classes"]["numbers"] == [1, 2, 3]
    assert set(read["per_class"][0]) == {"value", "low", "high"}
    assert read["pose_error"] == {"rotation_degrees": 1.0, "shift_angstrom": 2.0}
    assert evidence_record("", 1, found, (), None)["pose_error"] is None
    curve = evidence_curve(found)
    assert curve["chosen"].tolist() == [False, True, False]
    assert curve["gain"].tolist() == [g.value for g in found.gains]
