"""Views that particles have, and what they leave empty."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.imaging.symmetry import symmetry_rotations
from emjax.imaging.views import empty_share, most_common, number_of_views, view_directions

NONE = symmetry_rotations("C1")


def turned(rot, tilt, psi) -> np.ndarray:
    """RELION's matrices."""
    angles = np.stack(np.broadcast_arrays(rot, tilt, psi), -1).reshape(-1, 3)
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)


def test_one_view_reaches_a_belt_of_its_width():
    """Of a sphere, |cos| < 1/r holds on a share of 1/r."""
    for radius in (4, 16):
        share = empty_share(turned(0, 0, np.arange(0, 360, 10)), radius, NONE)
        assert share == pytest.approx(1 - 1 / radius, abs=0.02)


def test_many_views_leave_nothing_empty():
    rotations = Rotation.random(500, random_state=0).as_matrix()
    assert empty_share(rotations, 16, NONE) == 0
    assert number_of_views(rotations, 0.95, 1e-3) >= 470


def test_views_around_an_axis_suffice_and_top_views_leave_a_cone():
    side = turned(np.arange(0, 180, 2), 90, 0)
    assert empty_share(side, 16, NONE) == 0
    top = turned(np.arange(0, 360, 5), 20, 0)
    assert empty_share(top, 100, NONE) == pytest.approx(1 - np.sin(np.deg2rad(20)), abs=0.03)


def test_symmetry_adds_views():
    few = turned([0, 100, 200], [30, 60, 80], 0)
    alone, with_mates = (empty_share(few, 8, symmetry_rotations(name)) for name in ("C1", "D7"))
    assert with_mates < alone / 2


def test_views_are_counted_whichever_way():
    both = np.concatenate([turned(10, 40, [0, 90]), turned(190, 140, [0, 50]), turned(0, 0, 5)])
    assert number_of_views(both, 0.7, 1e-3) == 1
    assert number_of_views(both, 0.95, 1e-3) == 2


def test_the_most_common_value_is_found():
    views = view_directions(turned([0, 0, 30, 0], [0, 0, 50, 0], [10, 20, 30, 40]))
    row, count = most_common(views, 1e-3)
    assert row == 0 and count == 3
