"""Particles mean the same whichever program wrote them, and go back as they came."""

import os
import shutil

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star


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


def test_copies_of_one_image_are_known_as_such(star_set):
    names = ["3@stack.mrcs", "1@stack.mrcs", "000003@stack.mrcs", "2@./stack.mrcs"]
    assert read_particles(star_set(rlnImageName=names)).image.tolist() == [2, 0, 2, 1]


def test_symlinked_exports_are_followed(files, cs_set, tmp_path, monkeypatch):
    path = cs_set(files.records())
    (tmp_path / "export").mkdir()
    os.symlink(path, tmp_path / "export" / "particles.cs")
    shutil.move(tmp_path / "stack.mrcs", tmp_path / "real.mrcs")
    os.symlink(tmp_path / "real.mrcs", tmp_path / "stack.mrcs")
    monkeypatch.chdir("/")
    assert read_particles(tmp_path / "export" / "particles.cs").n == 4


def test_optics_groups_of_different_size_are_refused_or_resampled(files, star_set, tmp_path):
    optics = {k: [v[0], v[0]] for k, v in files.optics.items()}
    optics |= {"rlnOpticsGroup": [1, 2], "rlnImagePixelSize": [3.0, 2.9]}
    names = [f"{i}@stack.mrcs" for i in (1, 2)] + [f"{i}@other.mrcs" for i in (1, 2)]
    path = star_set(optics, rlnImageName=names, rlnOpticsGroup=[1, 1, 2, 2])
    files.stack(tmp_path / "other.mrcs", pixel_size=2.9)
    with pytest.raises(InputError, match="group 2: 8 px of 2.9 Å.*group 1: 8 px of 3 Å"):
        read_particles(path)
    particles = read_particles(path, on_mixed_optics="resample")
    assert particles.pixel_size == 3.0 and particles.box_size == 6
    assert particles.image_pixel_size.tolist() == [3.0, 3.0, 2.9, 2.9]


def test_selecting_keeps_the_files_lines(star_set, tmp_path):
    path = star_set()
    kept = read_particles(path).select(np.array([True, False, False, True]))
    write_particles(tmp_path / "kept.star", kept)
    rows = read_star(tmp_path / "kept.star")["particles"].text("someoneElsesColumn")
    assert rows == ["x0", "x3"] and kept.n == 2


@pytest.mark.parametrize("kind", ["star", "cs"])
@pytest.mark.parametrize("suffix", [".star", ".cs"])
def test_nothing_selected_is_still_a_file(star_set, cs_set, files, tmp_path, kind, suffix):
    halves = {"rlnRandomSubset": [1, 2, 1, 2]}
    path = star_set(**halves) if kind == "star" else cs_set(files.records())
    none = read_particles(path).select(np.zeros(4, bool))
    write_particles(tmp_path / f"none{suffix}", none, {"rlnClassNumber": np.zeros(0, int)})
    if suffix == ".star":
        assert len(read_star(tmp_path / "none.star")["particles"]) == 0
    else:
        assert len(np.load(tmp_path / "none.cs", allow_pickle=False)) == 0


def test_spliceosome(shared_data):
    particles = read_particles(shared_data / "data" / "spliceosome" / "particles.star")
    assert (particles.n, particles.box_size, particles.pixel_size) == (8000, 64, 6.0)
