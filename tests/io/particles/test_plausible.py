"""Input that reads well and cannot be meant is refused; what is doubtful is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles
from emjax.io.particles.plausible import (
    check_mask,
    check_particles,
    check_solvent_mask,
    doubts,
    doubts_of_mask,
    doubts_of_voxels,
)

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


def test_overfocus_and_defocus_of_0_are_no_underfocus(star_set):
    many = read_particles(star_set()).select(np.repeat(np.arange(4), 5))
    u = many.defocus_u.copy()
    with pytest.raises(InputError, match="defocus: found -.* Å on average, expected underfocus, "):
        check_particles(SOURCE, replace(many, defocus_u=-u, defocus_v=-many.defocus_v))
    for factor, word in ((-1, "negative"), (0, "0")):
        some = np.where(np.arange(20) < 3, factor, 1)
        odd = replace(many, defocus_u=some * u, defocus_v=some * many.defocus_v)
        check_particles(SOURCE, odd)
        (doubt,) = doubts(SOURCE, odd, RUNS)
        assert f"the defocus of 3 of 20 particles is {word}; was their CTF estimated?" in doubt
    nothing = replace(many, defocus_u=0 * u, defocus_v=0 * u)
    (doubt,) = doubts(SOURCE, nothing, RUNS)
    assert "of 20 of 20 particles is 0" in doubt
    images = {"som": {"map": [3, 3]}, "em3d": None, "subspace": None}
    assert not any("defocus" in doubt for doubt in doubts(SOURCE, nothing, images))


def test_origins_lie_inside_the_images(star_set):
    many = read_particles(star_set()).select(np.repeat(np.arange(4), 5))
    edge = many.box_size * many.pixel_size / 2
    far = np.where(np.arange(20)[:, None] < 3, [[1.1 * edge, 0]], 0.9 * edge)
    check_particles(SOURCE, replace(many, shifts=far))
    (doubt,) = doubts(SOURCE, replace(many, shifts=far), RUNS)
    assert "origins: 3 of 20 particles beyond the edge of their images (up to " in doubt
    with pytest.raises(InputError, match="origins: found 20 of 20 particles beyond .* origins in"):
        check_particles(SOURCE, replace(many, shifts=2 * far))


def test_many_views_on_a_map_of_images_are_doubtful(star_set):
    runs = RUNS | {"em3d": None, "som": {"map": [3, 3], "aligned": False}}
    found = read_particles(star_set())
    rng = np.random.default_rng(0)
    views = np.linalg.qr(rng.standard_normal((found.n, 3, 3)))[0]
    (doubt,) = doubts(SOURCE, replace(found, rotations=views), runs)
    assert "sorts them by view first" in doubt
    aligned = runs | {"som": {"map": [3, 3], "aligned": True}}
    assert not list(doubts(SOURCE, replace(found, rotations=views), aligned))
    turned = np.eye(3) * np.sign(rng.standard_normal((found.n, 1, 1)))
    turned[:, 2, 2] = 1
    assert not list(doubts(SOURCE, replace(found, rotations=turned), runs))


def ball(box: int = 16, radius: float = 5) -> np.ndarray:
    axis = np.arange(box) - box // 2
    return (axis**2 + axis[:, None] ** 2 + axis[:, None, None] ** 2 <= radius**2).astype(float)


def test_masks_are_from_0_to_1():
    check_mask("mask.mrc", 1.05 * ball())
    for mask, message in (
        (0.4 * ball(), "no voxel above 0.5"),
        (ball() * 1.5 - 0.5, "from -0.5 to 1"),
    ):
        with pytest.raises(InputError, match=message):
            check_mask("mask.mrc", mask)


def test_inverted_solvent_masks_are_refused():
    for mask in (1 - ball(), 1 - ball(radius=7.9), 1 - np.roll(ball(radius=2), 4, 0)):
        with pytest.raises(InputError, match="mask.mrc: mean: found .* beyond .* 1 − mask"):
            check_solvent_mask("mask.mrc", mask)
    for mask in (np.ones((16, 16, 16)), ball(radius=3), np.roll(ball(radius=2), 4, 0)):
        check_solvent_mask("mask.mrc", mask)


def test_masks_that_the_box_cuts_off_and_that_mask_nothing_are_doubtful():
    assert not list(doubts_of_mask("mask.mrc", ball()))
    (doubt,) = doubts_of_mask("mask.mrc", ball(radius=9))
    assert "of the box's faces" in doubt
    (doubt,) = doubts_of_mask("mask.mrc", np.ones((16, 16, 16)))
    assert "masks nothing" in doubt


def test_other_voxel_sizes_are_doubtful():
    assert not list(doubts_of_voxels("mask.mrc", 3.01, 3.0))
    assert len(list(doubts_of_voxels("mask.mrc", 4.0, 3.0))) == 1
    (doubt,) = doubts_of_voxels("mask.mrc", 1.0, 3.0)
    assert "as programs write that do not know it" in doubt
