"""Names of input classes and of intersections, written and read back."""

import numpy as np

from emjax.consensus.intersections import intersect_runs
from emjax.consensus.traces import name_class, parse_class, read_traces, write_traces


def test_traces_count_classes_from_one_and_show_the_unassigned():
    crossed = intersect_runs(np.array([[0, 2], [0, 2], [1, -1]]))
    assert write_traces(crossed.patterns, ["a", "b"]) == ["a.1 & b.3", "a.2 & b.0"]


def test_traces_are_read_back():
    patterns = np.array([[1, 0], [0, -1]])
    runs, classes = read_traces(write_traces(patterns, ["em3d-K04-s000", "ext-a.b"]))
    assert runs == ["em3d-K04-s000", "ext-a.b"]
    np.testing.assert_array_equal(classes, patterns + 1)


def test_classes_are_read_back():
    assert parse_class(name_class("ext-a.b", 3)) == ("ext-a.b", 3)
    assert parse_class("12") == ("", 12)
