"""Input that reads well and cannot be meant is refused; what is doubtful is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles
from emjax.io.particles.plausible import check_mask, check_particles, doubts, doubts_of_mask

RUNS = {"som": None, "em3d": {"n_classes": 2}, "subspace": None}
SOURCE = Path("particles.star")


def test_too_few_particles_and_defoci_in_micrometres_are_errors(star_set):
    particles = read_particles(star_set())
    with pytest.raises(InputError, match="found 4 particles, expected at least 20"):
        check_particles(SOURCE, particles)
    many = particles.select(np.repeat(np.arange(4), 5))
    check_particles(SOURCE, many)
    micrometres = replace(many, defocus_u=np.full(20, 1.2), defocus_v=np.full(20, 1.1))
    with pytest.raises(InputError, match="defocus: found at most 1.2, expected values in Å"):
        check_particles(SOURCE, micrometres)


def test_missing_origins_and_mixed_methods_are_doubtful(star_set):
    assert not list(doubts(SOURCE, read_particles(star_set()), RUNS))
    without = read_particles(star_set(rlnOriginXAngst=None, rlnOriginYAngst=None))
    (doubt,) = doubts(SOURCE, without, RUNS)
    assert "no column _rlnOriginXAngst" in doubt
    (doubt,) = doubts(SOURCE, read_particles(star_set(rlnOriginYAngst=None)), RUNS)
    assert "no column _rlnOriginYAngst" in doubt
    in_pixels = star_set(rlnOriginXAngst=None, rlnOriginX=[0.0] * 4)
    assert not list(doubts(SOURCE, read_particles(in_pixels), RUNS))
    (doubt,) = doubts(SOURCE, read_particles(star_set()), RUNS | {"som": {"map": [3, 3]}})
    assert "runs.som" in doubt


def test_masks_are_from_0_to_1():
    check_mask("mask.mrc", np.array([0.0, 1.05]))
    for values, message in (([0.0, 0.4], "no voxel above 0.5"), ([-0.5, 1.0], "from -0.5 to 1")):
        with pytest.raises(InputError, match=message):
            check_mask("mask.mrc", np.array(values))
    assert not list(doubts_of_mask("mask.mrc", 1.0, 3.0))  # what programs write unknowingly
    assert not list(doubts_of_mask("mask.mrc", 3.01, 3.0))
    assert len(list(doubts_of_mask("mask.mrc", 4.0, 3.0))) == 1
