"""Particle tables and keys of RELION's files."""

import shutil

from emjax.io.particles.particle_set import read_particles
from emjax.io.star.relion import StarParticles


def test_a_job_folder_is_read_like_its_last_file(star_set, tmp_path):
    path = star_set()
    for name in ("run_it001_data.star", "run_it012_data.star", "run_ct9_it010_data.star"):
        shutil.copy(path, tmp_path / name)
    particles = read_particles(tmp_path)
    assert isinstance(particles.source, StarParticles)
    assert particles.source.file.endswith("run_it012_data.star")
    shutil.copy(path, tmp_path / "run_data.star")
    source = read_particles(tmp_path).source
    assert source.file.endswith("run_data.star")


def test_copies_of_one_image_with_other_poses_are_particles_of_their_own(star_set):
    names = ["1@stack.mrcs", "000001@stack.mrcs", "2@stack.mrcs", "000001@./stack.mrcs"]
    particles = read_particles(star_set(rlnImageName=names))
    assert particles.identity.tolist() == [
        "000001@stack.mrcs", "000001@stack.mrcs#2", "000002@stack.mrcs", "000001@stack.mrcs#3"
    ]  # fmt: skip
