"""Elbows: defined for every curve, right on a clear one."""

from dataclasses import astuple

import numpy as np
import pytest

from emjax.consensus import elbows


def test_clear_knee_is_found():
    merges = np.zeros((8, 4))
    merges[::-1, 2] = [1.0, 0.95, 0.9, 0.05, 0.04, 0.03, 0.02, 0.01]
    found = elbows.find_elbows(merges, merges)
    assert found.profile_likelihood == found.coss_profile_likelihood == 3
    assert found.distance_line == found.origin == found.coss_angle == 4


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_short_and_flat_curves_give_one(n):
    merges = np.zeros((n, 4))
    merges[:, 2] = 0.3
    assert set(astuple(elbows.find_elbows(merges, merges))) == {1}


def test_elbows_lie_on_the_curve():
    rng = np.random.default_rng(0)
    for n in range(1, 12):
        merges = np.zeros((n, 4))
        merges[:, 2] = rng.random(n)
        assert all(1 <= k <= n for k in astuple(elbows.find_elbows(merges, merges)))
