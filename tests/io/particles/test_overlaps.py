"""Images that have noise in common are found, and no others."""

from pathlib import Path

import numpy as np
import pytest

from emjax.imaging.particles import split_halves
from emjax.io.particles.overlaps import overlapping
from emjax.io.particles.particle_set import ParticleSet, read_particles

# The set's box is 24 Å long: 2.4 Å are near.
APART = np.array([0.0, 100.0, 200.0, 300.0])


def groups(particles: ParticleSet) -> list[list[int]]:
    """Rows of each group of two or more."""
    number = overlapping(particles)
    found = [np.flatnonzero(number == g).tolist() for g in np.unique(number)]
    return sorted(rows for rows in found if len(rows) > 1)


def placed(x, y=(0.0,) * 4, **columns) -> dict:
    still = {"rlnOriginXAngst": [0.0] * 4, "rlnOriginYAngst": [0.0] * 4}
    one = {"rlnMicrographName": ["a.mrc"] * 4}
    return one | still | {"rlnCoordinateX": list(x), "rlnCoordinateY": list(y)} | columns


def test_images_of_their_own_do_not_overlap(star_set):
    assert groups(read_particles(star_set())) == []
    assert groups(read_particles(star_set(**placed(APART)))) == []


def test_copies_of_an_image_do(star_set):
    names = ["1@stack.mrcs", "2@stack.mrcs", "1@stack.mrcs", "3@stack.mrcs"]
    assert groups(read_particles(star_set(rlnImageName=names))) == [[0, 2]]


def test_picks_at_nearly_the_same_place_of_a_micrograph_do(star_set):
    twice = [0.0, 100.0, 100.5, 300.0]
    assert groups(read_particles(star_set(**placed(twice)))) == [[1, 2]]
    other = ["a.mrc", "a.mrc", "b.mrc", "b.mrc"]
    assert groups(read_particles(star_set(**placed(twice, rlnMicrographName=other)))) == []


def test_picks_that_alignment_brought_to_one_place_do(star_set):
    columns = placed([0.0, 100.0, 104.0, 300.0], rlnOriginXAngst=[0.0, -6.0, 6.0, 0.0])
    assert groups(read_particles(star_set(**columns))) == [[1, 2]]


def test_coordinates_are_in_pixels_of_the_micrograph(star_set, files):
    optics = files.optics | {"rlnMicrographPixelSize": [1.0]}
    columns = placed([0.0, 100.0, 102.0, 300.0])
    assert groups(read_particles(star_set(**columns))) == []
    assert groups(read_particles(star_set(optics, **columns))) == [[1, 2]]


def test_coordinates_that_were_not_recorded_say_nothing(star_set):
    assert groups(read_particles(star_set(**placed([0.0] * 4)))) == []


def test_segments_of_a_filament_do_and_others_of_its_number_do_not(star_set):
    tubes = {"rlnHelicalTubeID": [1, 1, 1, 2]}
    mics = ["a.mrc", "a.mrc", "b.mrc", "b.mrc"]
    assert groups(read_particles(star_set(rlnMicrographName=mics, **tubes))) == [[0, 1]]
    assert groups(read_particles(star_set(rlnMicrographName=None, **tubes))) == [[0, 1, 2]]
    none = {"rlnHelicalTubeID": [0, 0, 0, 0]}
    assert groups(read_particles(star_set(rlnMicrographName=mics, **none))) == []


def cs_with(records: np.ndarray, **fields) -> np.ndarray:
    kinds = [(n, records.dtype[n]) for n in records.dtype.names or ()]
    kinds += [(n, np.asarray(v).dtype, np.asarray(v).shape[1:]) for n, v in fields.items()]
    new = np.zeros(len(records), np.dtype(kinds))
    for name in records.dtype.names or ():
        new[name] = records[name]
    for name, values in fields.items():
        new[name] = values
    return new


def test_cryosparcs_places_and_filaments_are_read(files, cs_set):
    records = files.records()
    records["alignments3D/shift"] = 0
    filaments = {"filament/filament_uid": np.array([7, 8, 7, 9], "<u8")}
    assert groups(read_particles(cs_set(cs_with(records, **filaments)))) == [[0, 2]]
    places = {
        "location/micrograph_uid": np.array([1, 1, 1, 2], "<u8"),
        "location/micrograph_shape": np.full((4, 2), 1000, "<u4"),
        "location/micrograph_psize_A": np.full(4, 1.0, "<f4"),
        "location/center_x_frac": np.array([0.1, 0.5, 0.501, 0.5], "<f4"),
        "location/center_y_frac": np.full(4, 0.5, "<f4"),
    }
    assert groups(read_particles(cs_set(cs_with(records, **places)))) == [[1, 2]]


def test_a_chain_of_overlaps_is_one_group(star_set):
    names = ["1@stack.mrcs", "1@stack.mrcs", "2@stack.mrcs", "3@stack.mrcs"]
    columns = placed([0.0, 0.0, 0.5, 300.0], rlnImageName=names)
    assert groups(read_particles(star_set(**columns))) == [[0, 1, 2]]


@pytest.mark.parametrize("given", [None, "rows"])
def test_overlapping_images_never_fall_into_different_half_sets(particles: Path, given):
    """Whatever the file's random subsets say."""
    table = read_particles(particles / "particles.star")
    expanded = table.select(np.repeat(np.arange(table.n), 2))
    number = overlapping(expanded)
    known = np.zeros(expanded.n, np.int8)
    if given:
        known = np.random.default_rng(1).integers(1, 3, expanded.n).astype(np.int8)
    half = split_halves(known, number, 0)
    np.testing.assert_array_equal(half[::2], half[1::2])
    assert 0.4 < np.mean(half == 1) < 0.6
