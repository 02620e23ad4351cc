"""Image stacks are found where RELION and CryoSPARC mean them to be."""

import gzip
import os
import shutil

import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles


def test_stacks_are_found_from_anywhere_after_writing(star_set, tmp_path, monkeypatch):
    particles = read_particles(star_set())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_particles("results/p.star", particles)
    again = read_particles("results/p.star")
    assert again.stack_paths[0].samefile(particles.stack_paths[0])
    assert again.identity.tolist() == particles.identity.tolist()


@pytest.mark.parametrize("place", ["cwd", "beside", "image_root", "project"])
def test_relative_stacks_are_found_as_relion_means_them(star_set, tmp_path, monkeypatch, place):
    path, root = star_set(), None
    other = tmp_path / "other"
    (other / "Refine3D" / "job012").mkdir(parents=True)
    monkeypatch.chdir(other)
    if place == "cwd":
        shutil.move(tmp_path / "stack.mrcs", other / "stack.mrcs")
    elif place == "image_root":
        (tmp_path / "images").mkdir()
        shutil.move(tmp_path / "stack.mrcs", tmp_path / "images" / "stack.mrcs")
        root = tmp_path / "images"
    elif place == "project":
        shutil.move(tmp_path / "stack.mrcs", other / "stack.mrcs")
        path = shutil.move(path, other / "Refine3D" / "job012" / "run_data.star")
        monkeypatch.chdir(tmp_path)
    assert read_particles(path, root).n == 4


def test_absolute_paths_of_moved_data_are_found_below_the_image_root(star_set, tmp_path):
    names = [f"{i + 1}@/gone/Extract/job2/stack.mrcs" for i in range(4)]
    path = star_set(rlnImageName=names)
    (tmp_path / "new" / "job2").mkdir(parents=True)
    shutil.move(tmp_path / "stack.mrcs", tmp_path / "new" / "job2" / "stack.mrcs")
    with pytest.raises(InputError, match="/gone/Extract/job2/stack.mrcs: found no such file"):
        read_particles(path)
    particles = read_particles(path, tmp_path / "new")
    assert particles.stack_paths == (tmp_path / "new" / "job2" / "stack.mrcs",)


def test_the_current_folder_comes_first(files, star_set, tmp_path, monkeypatch):
    path = star_set()
    (tmp_path / "project").mkdir()
    files.stack(tmp_path / "project" / "stack.mrcs", n=9)
    monkeypatch.chdir(tmp_path / "project")
    assert read_particles(path).stack_paths == (tmp_path / "project" / "stack.mrcs",)


def test_symlinked_exports_are_followed(files, cs_set, tmp_path, monkeypatch):
    path = cs_set(files.records())
    (tmp_path / "export").mkdir()
    os.symlink(path, tmp_path / "export" / "particles.cs")
    shutil.move(tmp_path / "stack.mrcs", tmp_path / "real.mrcs")
    os.symlink(tmp_path / "real.mrcs", tmp_path / "stack.mrcs")
    monkeypatch.chdir("/")
    assert read_particles(tmp_path / "export" / "particles.cs").n == 4


def test_a_compressed_stack_in_its_place_is_named(star_set, tmp_path):
    path, stack = star_set(), tmp_path / "stack.mrcs"
    (tmp_path / "stack.mrcs.gz").write_bytes(gzip.compress(stack.read_bytes()))
    stack.unlink()
    with pytest.raises(
        InputError, match=r"stack.mrcs.gz: found a file compressed with gzip, .*gunz"
    ):
        read_particles(path)
