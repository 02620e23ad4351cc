"""RELION's columns mean what RELION means by them, in every version."""

import numpy as np
import pytest

from emjax.io.particles.particle_set import read_particles


def test_relion_31(files, star_set):
    particles = read_particles(star_set())
    columns = files.columns()
    assert particles.n == 4 and particles.box_size == 8 and particles.pixel_size == 3.0
    assert particles.identity.tolist() == columns["rlnImageName"]
    np.testing.assert_array_equal(particles.shifts[:, 0], columns["rlnOriginXAngst"])
    np.testing.assert_allclose(np.rad2deg(particles.defocus_angle), columns["rlnDefocusAngle"])
    assert particles.half.tolist() == [0] * 4
    assert particles.micrograph is not None and particles.micrograph[2] == "mic1.mrc"


def test_relion_30_has_pixels_and_magnification(star_set):
    flat = {"rlnVoltage": [300.0] * 4, "rlnSphericalAberration": [2.7] * 4,
            "rlnAmplitudeContrast": [0.1] * 4, "rlnMagnification": [10000] * 4,
            "rlnDetectorPixelSize": [3.0] * 4, "rlnOriginX": [1.0, 2, 3, 4],
            "rlnOpticsGroup": None, "rlnOriginXAngst": None}  # fmt: skip
    particles = read_particles(star_set(None, **flat))
    assert particles.pixel_size == 3.0 and particles.shifts[:, 0].tolist() == [3, 6, 9, 12]


def test_a_single_optics_group_needs_no_column(star_set):
    particles = read_particles(star_set(rlnOpticsGroup=None))
    assert particles.pixel_size == 3.0 and particles.voltage[0] == 300


def test_a_single_half_set_is_none(star_set):
    assert read_particles(star_set(rlnRandomSubset=[2] * 4)).half.tolist() == [0] * 4
    assert read_particles(star_set(rlnRandomSubset=[2, 1, 1, 1])).half.tolist() == [2, 1, 1, 1]


def test_a_missing_amplitude_contrast_is_reported(files, star_set):
    optics = {k: v for k, v in files.optics.items() if k != "rlnAmplitudeContrast"}
    with pytest.warns(UserWarning, match="rlnAmplitudeContrast; taken as 0"):
        assert read_particles(star_set(optics)).amplitude_contrast.tolist() == [0] * 4
