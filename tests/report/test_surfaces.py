"""Surfaces as pictures: tinted by differences only, seen from both sides."""

import numpy as np

from emjax.report.surfaces import shaded_sides
from tests.report.consensus_files import blob


def test_a_surface_without_differences_is_grey():
    volume = blob(32, (0, 0, 0), 0.2)
    for picture in shaded_sides(volume, 0.5, np.zeros_like(volume)):
        there = picture[picture[..., 3] > 0].astype(int)
        assert len(there) > 100 and np.ptp(there[:, :3], axis=1).max() < 40


def test_the_other_side_is_a_half_turn_about_y():
    # A ball near z = 0, at positive x, and a larger one behind it.
    volume = blob(32, (-0.2, 0, 0.2), 0.1) + blob(32, (0.2, 0, -0.1), 0.2)
    front, behind = shaded_sides(volume, 0.5, np.zeros_like(volume))
    assert (front != behind[:, ::-1]).any()
    assert ((front[..., 3] > 0) == (behind[:, ::-1, 3] > 0)).all()
    turned = shaded_sides(volume[::-1, :, ::-1], 0.5, np.zeros_like(volume))
    assert (turned[0] == behind).all() and (turned[1] == front).all()


def test_the_side_towards_the_light_is_brighter():
    volume = blob(48, (0, 0, 0), 0.25)
    picture = shaded_sides(volume, 0.5, np.zeros_like(volume))[0][..., 0].astype(float)
    upper_left, lower_right = picture[:64, :64], picture[64:, 64:]
    assert upper_left.sum() > 1.2 * lower_right.sum()
