"""Particles of label files that have no images, poses, CTFs or pixel size."""

from pathlib import Path

import numpy as np
import pytest

from emjax.io.labels.read import read_labels
from emjax.io.particles.listed import listed_particles, suffixes_of, write_listed
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import read_star, write_star

CLASSES = [2, 1, 0, 3]


def test_a_whole_star_file_gives_both_formats_without_its_stack(star_set, tmp_path: Path):
    path = star_set(rlnClassNumber=CLASSES)
    stack = path.with_name("stack.mrcs")
    stack.unlink()
    found = listed_particles(path)
    assert suffixes_of(found) == (".star", ".cs")
    for suffix in (".star", ".cs"):
        out = tmp_path / f"some{suffix}"
        write_listed(out, found.select(np.array([3, 1])), {"rlnClassNumber": np.array([1, 2])})
        assert read_labels(out)[1].tolist() == [0, 1]
    table = read_star(tmp_path / "some.star")["particles"]
    assert table.text("rlnImageName") == ["000004@stack.mrcs", "000002@stack.mrcs"]
    assert table.text("someoneElsesColumn") == ["x3", "x1"]


def test_image_names_and_classes_are_enough(files, tmp_path: Path):
    columns = {"rlnImageName": files.columns()["rlnImageName"], "rlnClassNumber": CLASSES}
    write_star(tmp_path / "few.star", files.star(columns, optics=None))
    found = listed_particles(tmp_path / "few.star")
    assert found.identity[1] == "000002@stack.mrcs" and suffixes_of(found) == (".star",)
    write_listed(tmp_path / "out.star", found, {"emjaxStability": np.ones(4)})
    table = read_star(tmp_path / "out.star")["particles"]
    assert table.labels == ("rlnImageName", "rlnClassNumber", "emjaxStability")


@pytest.mark.parametrize(
    ("name", "text", "column", "first"),
    [
        ("a.csv", "image,class\n7@a.mrcs,1\n3@a.mrcs,2\n", "rlnImageName", "7@a.mrcs"),
        ("a.csv", "uid,class\nx,1\ny,2\n", "emjaxParticle", "x"),
        ("a.csv", "class\n1\n2\n", "emjaxParticle", "row 1"),
        ("a.xmd", "data_\nloop_\n _image\n _ref\n 7@a.stk 1\n 3@a.stk 2\n", "rlnImageName",
         "000007@a.stk"),
    ],
)  # fmt: skip
def test_tables_of_keys(tmp_path: Path, name: str, text: str, column: str, first: str):
    path = tmp_path / name
    path.write_text(text)
    found = listed_particles(path)
    assert found.n == 2
    write_listed(tmp_path / "out.star", found, {"rlnClassNumber": np.array([2, 1])})
    table = read_star(tmp_path / "out.star")["particles"]
    assert table.text(column)[0] == first
    # What was written is read again as labels.
    assert read_labels(tmp_path / "out.star")[1].tolist() == [1, 0]


def test_a_cs_without_its_passthrough_keeps_uids(tmp_path: Path):
    records = np.zeros(3, [("uid", "<u8"), ("alignments3D_multi/class_posterior", "<f4", (2,))])
    records["uid"] = [2**63 + 5, 7, 9]
    records["alignments3D_multi/class_posterior"] = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]
    with (tmp_path / "J5_00010_particles.cs").open("wb") as stream:
        np.save(stream, records)
    found = listed_particles(tmp_path / "J5_00010_particles.cs")
    for suffix in suffixes_of(found):
        out = tmp_path / f"out{suffix}"
        write_listed(out, found, {"rlnClassNumber": np.array([1, 2, 0])})
        keys, labels, _ = read_labels(out)
        assert keys.tolist() == [str(2**63 + 5), "7", "9"] and labels.tolist() == [0, 1, -1]
    assert suffixes_of(found) == (".star", ".cs")


def test_a_whole_cs_is_read_with_all_it_says(star_set, tmp_path: Path):
    from emjax.io.convert.convert import convert

    convert(star_set(rlnClassNumber=CLASSES), tmp_path / "run.cs")
    found = listed_particles(tmp_path / "run.cs")
    whole = read_particles(tmp_path / "run.cs", check_images=False)
    np.testing.assert_array_equal(found.rotations, whole.rotations)
