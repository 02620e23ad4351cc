"""Weaker images of the molecule are not a missing part."""

import numpy as np

from emjax.audit.confounders import Audited, audit_classes
from emjax.audit.intensity import INTENSITY_SCALE, audit_intensity_scale
from tests.audit.molecule import draw_molecule


def test_weaker_images_are_flagged_and_a_missing_part_is_not():
    rng = np.random.default_rng(4)
    full, ball = draw_molecule(rng)
    part = np.zeros_like(full)
    part[14:19, 9:14, 14:19] = full[14:19, 9:14, 14:19]
    labels = np.repeat([0, 1], 1000)
    scale = np.where(labels == 0, 1.05, 0.95) + 0.05 * rng.standard_normal(2000)
    known = {"optics group": np.ones(2000, dtype=int)}
    for maps, expected in (
        # The same molecule, imaged weaker: its map comes out the same, its images do not.
        (np.stack([full, full]), True),
        # A part is missing, so that the images fit the mean map with a smaller scale.
        (np.stack([full / 1.05, (full - part) / 0.95]), False),
    ):
        audit = audit_classes(Audited(labels, list(maps)), known, scale, ball)
        own = audit["nuisance"] == INTENSITY_SCALE
        assert (audit["q_value"][own] < 1e-6).all()
        assert (audit["flag"][own] == expected).all()
        assert "optics group" not in audit["nuisance"]  # all the same


def test_no_scale_is_flagged_where_it_does_not_correlate_with_the_class():
    rng = np.random.default_rng(5)
    full, ball = draw_molecule(rng)
    labels = rng.integers(-1, 2, 1000)
    audit = audit_intensity_scale(
        labels, rng.lognormal(size=1000), np.stack([full, full * 0.9]), ball
    )
    assert not audit["flag"].any()
    assert (audit["q_value"] > 0.05).all()
    # One class, or a class without particles, is no trouble.
    one = audit_intensity_scale(np.zeros(10, dtype=int), np.ones(10), full[None], ball)
    assert not one["flag"].any() and (one["effect_size"] == 0).all()
    audit_intensity_scale(np.zeros(10, dtype=int), np.ones(10), np.stack([full, full]), ball)
