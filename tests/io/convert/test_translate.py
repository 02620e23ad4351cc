"""A table in the other program's form says the same."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emjax.io.convert.translate import cs_from_star, star_from_cs
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.fields import relion_fields
from emjax.io.star.relion import StarParticles

angles = arrays(np.float64, (3, 3), elements=st.floats(-360, 360))


@settings(max_examples=25, deadline=None)
@given(angles, arrays(np.float64, (3, 2), elements=st.floats(-99, 99)))
def test_star_to_cs_and_back(files, euler, shifts):
    columns = files.columns(3)
    for name, values in zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), euler.T, strict=True):
        columns[name] = values
    columns["rlnOriginXAngst"], columns["rlnOriginYAngst"] = shifts.T
    source = StarParticles(files.star(columns), "particles", "optics")
    there = cs_from_star(source)
    back = star_from_cs(there)
    first, second, third = relion_fields(source), cryosparc_fields(there), relion_fields(back)
    for other in (second, third):
        np.testing.assert_allclose(other["rotations"], first["rotations"], atol=1e-6)
        np.testing.assert_allclose(other["shifts"], first["shifts"], atol=1e-4)
        np.testing.assert_allclose(other["defocus_u"], first["defocus_u"], rtol=1e-6)
    assert second["identity"].tolist() == third["identity"].tolist()


@pytest.mark.parametrize("suffix", [".star", ".cs"])
@pytest.mark.filterwarnings("ignore:.*rlnAmplitudeContrast")
def test_interop_files_round_trip(interop, tmp_path, suffix):
    paths = sorted([*interop.glob("*.star"), *interop.glob("*.cs")])
    assert len(paths) >= 7
    for path in paths:
        particles = read_particles(path, check_images=False, require_poses=False)
        particles = particles if particles.box_size else replace(particles, box_size=320)
        write_particles(tmp_path / f"out{suffix}", particles)
        again = read_particles(tmp_path / f"out{suffix}", check_images=False, require_poses=False)
        np.testing.assert_allclose(again.rotations, particles.rotations, atol=1e-6)
        np.testing.assert_allclose(again.shifts, particles.shifts, atol=1e-4)
        assert again.index_in_stack.tolist() == particles.index_in_stack.tolist()
        if path.suffix == suffix:
            assert again.identity.tolist() == particles.identity.tolist()
