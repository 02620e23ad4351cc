"""Particles mean the same whichever program wrote them, and go back as they came."""

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star


def test_copies_of_one_image_are_known_as_such(star_set):
    names = ["3@stack.mrcs", "1@stack.mrcs", "000003@stack.mrcs", "2@./stack.mrcs"]
    assert read_particles(star_set(rlnImageName=names)).image.tolist() == [2, 0, 2, 1]


def test_an_image_is_named_as_relion_writes_it(star_set):
    path = star_set(
        rlnImageName=["2@stack.mrcs", "000001@stack.mrcs", "4@stack.mrcs", "3@stack.mrcs"]
    )
    particles = read_particles(path)
    assert [particles.image_name(row) for row in (0, 2)] == [
        "000002@stack.mrcs",
        "000004@stack.mrcs",
    ]


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
