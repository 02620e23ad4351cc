"""Scales of the images as other programs found them."""

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.columns import replace_fields
from emjax.io.particles.particle_set import read_particles
from emjax.io.particles.scales import given_scales
from emjax.io.star.tables import StarFile, make_table, write_star


def test_own_scales_come_first_and_stay_as_they_are(star_set):
    path = star_set(emjaxScale=[0.5, 1, 2, 3], rlnNormCorrection=[1, 1, 1, 2])
    assert given_scales(read_particles(path)).tolist() == [0.5, 1, 2, 3]


def test_norm_times_group_scale(star_set):
    path = star_set(rlnNormCorrection=[1.0, 1, 2, 2], rlnGroupScaleCorrection=[1.0, 2, 1, 2])
    np.testing.assert_allclose(given_scales(read_particles(path)), np.array([1, 2, 2, 4]) / 2.25)


@pytest.mark.parametrize("key", ["rlnGroupNumber", "rlnGroupName"])
def test_group_scales_of_the_job(star_set, tmp_path, key):
    star_set(**{key: [7, 8, 8, 7]}).rename(tmp_path / "run_it003_data.star")
    groups = {key: [8, 7], "rlnGroupScaleCorrection": [1.5, 0.5]}
    model = StarFile((make_table("model_groups", groups),))
    write_star(tmp_path / "run_it003_half1_model.star", model)
    found = given_scales(read_particles(tmp_path / "run_it003_data.star"))
    assert found.tolist() == [0.5, 1.5, 1.5, 0.5]


def test_a_group_that_the_job_does_not_have_is_named(star_set, tmp_path):
    star_set(rlnGroupNumber=[1, 2, 2, 1]).rename(tmp_path / "run_data.star")
    groups = {"rlnGroupNumber": [1], "rlnGroupScaleCorrection": [1.5]}
    write_star(tmp_path / "run_model.star", StarFile((make_table("model_groups", groups),)))
    with pytest.raises(InputError, match=r"row 2.*_rlnGroupNumber: found 2, .*run_model.star"):
        given_scales(read_particles(tmp_path / "run_data.star"))


def test_cryosparcs_alpha(cs_set, files):
    alpha = np.array([0.2, 0.4, 0.6, 0.8], "<f4")
    path = cs_set(replace_fields(files.records(), {"alignments3D/alpha": alpha}))
    np.testing.assert_allclose(given_scales(read_particles(path)), alpha / 0.5, rtol=1e-6)


def test_alpha_of_the_likeliest_class(cs_set, files):
    records = replace_fields(files.records(), {
        "alignments3D_multi/alpha": np.float32([[1, 9], [9, 2], [3, 9], [9, 2]]),
        "alignments3D_multi/class_posterior": np.float32([[1, 0], [0, 1], [1, 0], [0, 1]]),
    })  # fmt: skip
    assert given_scales(read_particles(cs_set(records))).tolist() == [0.5, 1, 1.5, 1]


def test_wild_scales_are_kept_near_the_mean(star_set):
    path = star_set(rlnNormCorrection=[-1.0, 1, 1, 15])
    np.testing.assert_allclose(given_scales(read_particles(path)), [0.1, 0.25, 0.25, 3.75])


@pytest.mark.parametrize("kind", ["star", "cs"])
def test_a_file_without_scales_says_what_would_do(star_set, cs_set, files, kind):
    path = star_set() if kind == "star" else cs_set(files.records())
    wanted = "scale: input: found no scales of the images, expected _rlnNormCorrection or"
    with pytest.raises(InputError, match=wanted):
        given_scales(read_particles(path))


def test_scales_of_mean_0_are_refused(star_set):
    with pytest.raises(InputError, match="found a mean of 0, expected scales above 0"):
        given_scales(read_particles(star_set(rlnNormCorrection=[0.0] * 4)))
