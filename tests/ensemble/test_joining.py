"""Runs are joined by identity, and different particle sets are told."""

import numpy as np
import pytest

from emjax.ensemble.joining import join_runs
from emjax.errors import InputError

A = np.array(["1@s", "2@s", "3@s", "4@s"])


def test_rows_follow_the_identity_not_the_order():
    joined = join_runs([A, A[::-1]], [np.arange(4), np.arange(4)], ["a", "b"])
    np.testing.assert_array_equal(joined.identity, A)
    np.testing.assert_array_equal(joined.labels, [[0, 3], [1, 2], [2, 1], [3, 0]])
    np.testing.assert_array_equal(joined.rows[:, 1], [3, 2, 1, 0])


def test_a_mismatch_says_how_many_and_which():
    other = np.array(["2@s", "3@s", "4@s", "9@s"])
    with pytest.raises(InputError, match=r"run b: .*1 of 4 .*1 .*\(1@s, 9@s\)"):
        join_runs([A, other], [np.zeros(4, int)] * 2, ["a", "b"])
    joined = join_runs([A, other], [np.zeros(4, int)] * 2, ["a", "b"], "intersect")
    np.testing.assert_array_equal(joined.identity, A[1:])
    np.testing.assert_array_equal(joined.left_out, [1, 1])


def test_what_cannot_be_joined_is_refused():
    zeros = np.zeros(4, int)
    with pytest.raises(InputError, match="twice"):
        join_runs([A, A[[0, 0, 1, 2]]], [zeros, zeros], ["a", "b"])
    with pytest.raises(InputError, match="no particle in all"):
        join_runs([A, np.array(["x", "y"])], [zeros, zeros[:2]], ["a", "b"], "intersect")
    with pytest.raises(InputError, match="labels"):
        join_runs([A], [zeros[:3]], ["a"])
    with pytest.raises(InputError, match="on_mismatch"):
        join_runs([A], [zeros], ["a"], "ignore")
