"""Pixel sizes that the particle file and the stacks' headers do not agree on."""

import warnings

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles


def test_the_particle_file_is_believed_with_a_warning(star_set, files):
    path = star_set(files.optics | {"rlnImagePixelSize": [6.0]})
    words = "pixel size 6 Å, but 3 Å in the header of .*stack.mrcs; the particle file is believed"
    with pytest.warns(UserWarning, match=words):
        particles = read_particles(path)
    assert particles.pixel_size == 6 and (particles.image_pixel_size == 6).all()


def test_the_headers_are_believed_where_asked_for(star_set, files, tmp_path):
    path = star_set(files.optics | {"rlnImagePixelSize": [6.0]})
    particles = read_particles(path, pixel_size_of="stacks")
    assert particles.pixel_size == 3
    np.testing.assert_allclose(particles.shifts[:, 0], files.columns()["rlnOriginXAngst"])
    # All that is written from it says the same.
    write_particles(tmp_path / "again.star", particles)
    assert read_particles(tmp_path / "again.star").pixel_size == 3


def test_shifts_in_pixels_follow(star_set, files):
    flat = {"rlnVoltage": [300.0] * 4, "rlnSphericalAberration": [2.7] * 4}
    flat |= {"rlnAmplitudeContrast": [0.1] * 4, "rlnPixelSize": [6.0] * 4, "rlnOpticsGroup": None}
    flat |= {"rlnOriginX": [1.0, 2, 3, 4], "rlnOriginY": [0.0] * 4}
    flat |= {"rlnOriginXAngst": None, "rlnOriginYAngst": None}
    particles = read_particles(star_set(None, **flat), pixel_size_of="stacks")
    assert particles.pixel_size == 3 and particles.shifts[:, 0].tolist() == [3, 6, 9, 12]
    assert particles.source.particles.numbers("rlnPixelSize").tolist() == [3] * 4


def test_a_cs_file_follows_too(files, cs_set):
    records = files.records()
    records["blob/psize_A"] = records["alignments3D/psize_A"] = 6
    path = cs_set(records)
    particles = read_particles(path, pixel_size_of="stacks")
    assert particles.pixel_size == 3
    np.testing.assert_allclose(particles.shifts, records["alignments3D/shift"] * 6.0)


def test_near_sizes_and_headers_of_1_say_nothing(star_set, files, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            read_particles(star_set(files.optics | {"rlnImagePixelSize": [3.1]})).pixel_size == 3.1
        )
        path = star_set(files.optics | {"rlnImagePixelSize": [6.0]})
        files.stack(tmp_path / "stack.mrcs", pixel_size=1.0)
        for which in ("particles", "stacks"):
            assert read_particles(path, pixel_size_of=which).pixel_size == 6


def test_stacks_of_one_group_must_agree(star_set, files, tmp_path):
    names = ["1@stack.mrcs", "2@stack.mrcs", "1@other.mrcs", "2@other.mrcs"]
    path = star_set(files.optics | {"rlnImagePixelSize": [6.0]}, rlnImageName=names)
    files.stack(tmp_path / "other.mrcs", pixel_size=4.0)
    with pytest.raises(InputError, match="optics group 1: found stacks of 3 and 4 Å, expected one"):
        read_particles(path, pixel_size_of="stacks")
    with pytest.raises(InputError, match="pixel_size_of: found both, expected particles or stacks"):
        read_particles(path, pixel_size_of="both")
