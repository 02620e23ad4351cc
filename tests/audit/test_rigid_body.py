"""A rigid-body motion of the molecule is not a missing part."""

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from emjax.audit.rigid_body import audit_rigid_body_motion
from tests.audit.molecule import draw_molecule


def test_a_moved_molecule_is_flagged_and_a_missing_part_is_not():
    mean, ball = draw_molecule(np.random.default_rng(3))
    part = np.zeros_like(mean)
    part[14:17, 10:13, 14:17] = 0.3
    labels = np.repeat([0, 1], 50)
    moved = np.stack([shift(mean, (0.2, -0.1, 0.1)), shift(mean, (-0.2, 0.1, -0.1))])
    state = np.stack([mean - gaussian_filter(part, 1.0), mean * 0.9])
    assert audit_rigid_body_motion(labels, moved, ball)["flag"].all()
    assert not audit_rigid_body_motion(labels, state, ball)["flag"].any()
    # What all classes have in common, such as a filter of their maps, is no difference.
    assert audit_rigid_body_motion(labels, gaussian_filter(moved, (0, 1, 1, 1)), ball)["flag"].all()
