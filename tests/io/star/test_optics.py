"""What a file, or the job that wrote it, says of the CTF in its images; tilt series are refused."""

from pathlib import Path

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.fields import relion_fields
from emjax.io.star.optics import phase_left_out
from emjax.io.star.relion import StarParticles
from emjax.io.star.tables import StarFile, make_table, write_star

FLIPPED, MULTIPLIED = "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied"


def source(files, n: int = 4, optics: dict | None = None, **columns) -> StarParticles:
    star = files.star(files.columns(n) | columns, files.optics | (optics or {}))
    return StarParticles(star, "particles", "optics")


def test_flags_stand_with_the_group_or_the_particle(files):
    assert not relion_fields(source(files))["ctf_applied"].any()
    for name, number in ((FLIPPED, 1), (MULTIPLIED, 2)):
        assert (relion_fields(source(files, optics={name: [1]}))["ctf_applied"] == number).all()
        own = relion_fields(source(files, **{name: [0, 1, 0, 1]}))["ctf_applied"]
        assert own.tolist() == [0, number, 0, number]


def test_the_job_says_it_where_the_particles_do_not(star_set, tmp_path):
    path = star_set()
    path.rename(tmp_path / "run_data.star")
    assert not read_particles(tmp_path / "run_data.star").ctf_applied.any()
    general = make_table("optimiser_general", {FLIPPED: [1], MULTIPLIED: [0]}, loop=False)
    write_star(tmp_path / "run_optimiser.star", StarFile((general,)))
    assert read_particles(tmp_path / "run_data.star").ctf_applied.tolist() == [1] * 4


@pytest.mark.parametrize(("option", "number"), [("none", 0), ("phase_flipped", 1), ("auto", 2)])
def test_the_option_comes_before_the_file(star_set, files, option, number):
    path = star_set(files.optics | {MULTIPLIED: [1]})
    assert (read_particles(path, ctf_in_images=option).ctf_applied == number).all()
    # What is written from it says so too.
    again = path.with_name("again.star")
    write_particles(again, read_particles(path, ctf_in_images=option), {})
    assert (read_particles(again).ctf_applied == number).all()


def test_tilt_series_are_refused_and_refined_b_factors_are_not(files):
    groups, doses = np.repeat(["a", "b", "c", "d"], 3), np.tile([0.0, -4.0, -8.0], 4)
    columns = {"rlnGroupName": groups, "rlnCtfScalefactor": [0.9] * 12}
    with pytest.raises(InputError, match="4 series of images with one _rlnCtfBfactor per dose"):
        relion_fields(source(files, 12, rlnCtfBfactor=doses, **columns))
    # One for each micrograph, or for each particle.
    for factors in (np.repeat([1.0, 2, 3, 4], 3), np.arange(12) / 7):
        relion_fields(source(files, 12, rlnCtfBfactor=factors, **columns))


def test_phase_of_terms_that_are_not_modelled(files):
    terms = "[" + "0," * 6 + "1]"
    assert phase_left_out(source(files), 8.0) == 0
    found = phase_left_out(source(files, optics={"rlnOddZernike": [terms]}), 2.0)
    assert found == pytest.approx(np.rad2deg(0.5**5))


def test_lists_of_several_lengths_are_filled_up(files):
    optics = {k: [v[0]] * 2 for k, v in files.optics.items()} | {
        "rlnOpticsGroup": [1, 2],
        "rlnOddZernike": ["[1,2]", "[0,0,3,0,0,4]"],
    }
    found = relion_fields(source(files, optics=optics, rlnOpticsGroup=[1, 1, 2, 2]))
    assert found["odd_aberration"][0].tolist() == [2, 1, 0, 0, 0, 0]
    assert found["odd_aberration"][3].tolist() == [0, 0, 0, 0, 4, 3]
    assert Path(source(files).file).name == "<memory>"
