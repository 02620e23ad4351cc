"""STAR → .cs → STAR and .cs → STAR → .cs change nothing; what was changed in between is kept."""

from pathlib import Path

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.convert.convert import convert, differences, fields_of
from emjax.io.cryosparc.job import read_cs_particles
from emjax.io.cryosparc.tables import read_cs, write_cs
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.relion import read_star_particles
from emjax.io.star.tables import read_star, write_star

pytestmark = pytest.mark.filterwarnings("ignore:.*rlnAmplitudeContrast")
STARS = (
    "FinalRefinement-OriginalParticles-PfCRT",
    "empiar_10076_7",
    "relion31",
    "relion31.6opticsgroups",
    "relion5",
)
TABLES = ("cryosparc_P12_J24_001_particles", "empiar_10076_7")


def same_tables(a: Path, b: Path) -> None:
    for old, new in zip(read_star(a).tables, read_star(b).tables, strict=True):
        assert (old.name, old.labels, old.rows) == (new.name, new.labels, new.rows)


@pytest.mark.parametrize("name", STARS)
def test_star_there_and_back_is_the_same_text(interop, tmp_path, name):
    first = convert(interop / f"{name}.star", tmp_path / "a.cs", box_size=320)
    assert first.written == (tmp_path / "a.cs", tmp_path / "a_passthrough.star")
    back = convert(tmp_path / "a.cs", tmp_path / "b.star")
    assert back.changed == () and back.restored_from == tmp_path / "a_passthrough.star"
    same_tables(interop / f"{name}.star", tmp_path / "b.star")


@pytest.mark.parametrize("name", STARS)
def test_star_there_and_back_without_the_original(interop, tmp_path, name):
    convert(interop / f"{name}.star", tmp_path / "a.cs", box_size=320)
    (tmp_path / "a_passthrough.star").unlink()
    assert convert(tmp_path / "a.cs", tmp_path / "b.star").restored_from is None
    old = fields_of(read_star_particles(interop / f"{name}.star"))
    new = fields_of(read_star_particles(tmp_path / "b.star"))
    for field, rows in differences(old, new).items():
        assert not rows.any(), field
    np.testing.assert_allclose(new["rotations"], old["rotations"], atol=1e-6)
    np.testing.assert_allclose(new["shifts"], old["shifts"], atol=1e-4)


@pytest.mark.parametrize("name", TABLES)
def test_cs_there_and_back_is_the_same_table(interop, tmp_path, name):
    convert(interop / f"{name}.cs", tmp_path / "a.star")
    assert convert(tmp_path / "a.star", tmp_path / "b.cs").changed == ()
    old, new = read_cs(interop / f"{name}.cs"), read_cs(tmp_path / "b.cs")
    assert old.dtype == new.dtype and old.tobytes() == new.tobytes()


@pytest.mark.parametrize("name", TABLES)
def test_cs_there_and_back_without_the_original(interop, tmp_path, name):
    convert(interop / f"{name}.cs", tmp_path / "a.star")
    (tmp_path / "a_passthrough.cs").unlink()
    convert(tmp_path / "a.star", tmp_path / "b.cs")
    old, new = read_cs(interop / f"{name}.cs"), read_cs(tmp_path / "b.cs")
    np.testing.assert_array_equal(old["uid"], new["uid"])
    old, new = (
        fields_of(read_cs_particles(p)) for p in (interop / f"{name}.cs", tmp_path / "b.cs")
    )
    for field, rows in differences(old, new).items():
        assert not rows.any(), field


def test_changes_made_in_the_other_program_are_kept(star_set, tmp_path):
    path = star_set(rlnRandomSubset=[1, 2, 1, 2])
    convert(path, tmp_path / "a.cs")
    records = read_cs(tmp_path / "a.cs")[[3, 1, 0]].copy()
    records["alignments3D/pose"][1] = [0.1, 0.2, 0.3]
    records["alignments3D/class"] = [0, 1, 2]
    write_cs(tmp_path / "a.cs", records)
    done = convert(tmp_path / "a.cs", tmp_path / "b.star")
    assert set(done.changed) == {"rotations", "class_number"} and done.particles == 3
    old, new = read_star(path)["particles"], read_star(tmp_path / "b.star")["particles"]
    assert new.text("someoneElsesColumn") == ["x3", "x1", "x0"]
    assert new.text("rlnClassNumber") == ["1", "2", "3"]
    angles, before = new.text("rlnAngleRot"), old.text("rlnAngleRot")
    assert [angles[0], angles[2]] == [before[3], before[0]] and angles[1] != before[1]
    assert new.text("rlnOriginXAngst") == [old.text("rlnOriginXAngst")[i] for i in (3, 1, 0)]


def test_changes_made_in_relion_are_kept(cs_set, files, tmp_path):
    records = files.records()
    path = cs_set(records)
    convert(path, tmp_path / "a.star")
    text = (tmp_path / "a.star").read_text()
    source = read_star_particles(tmp_path / "a.star")
    first = source.particles.text("rlnOriginXAngst")[0]
    (tmp_path / "a.star").write_text(text.replace(first, "9.0"))
    done = convert(tmp_path / "a.star", tmp_path / "b.cs")
    assert done.changed == ("shifts",)
    new = read_cs(tmp_path / "b.cs")
    assert new["alignments3D/shift"][0, 0] == 3.0
    np.testing.assert_array_equal(new["alignments3D/shift"][1:], records["alignments3D/shift"][1:])
    np.testing.assert_array_equal(new["someone/elses_field"], records["someone/elses_field"])


def test_particles_that_the_original_does_not_have_are_reported(star_set, tmp_path):
    path = star_set()
    convert(path, tmp_path / "a.cs")
    records = read_cs(tmp_path / "a.cs")
    records["uid"][2] = 5
    write_cs(tmp_path / "a.cs", records)
    with pytest.raises(InputError, match="uid 5 missing"):
        convert(tmp_path / "a.cs", tmp_path / "b.star")


def test_halves_that_were_never_made_are_not_invented(star_set, tmp_path):
    convert(star_set(), tmp_path / "a.cs")
    assert not read_particles(tmp_path / "a.cs").half.any()
    assert "alignments3D/split" not in (read_cs(tmp_path / "a.cs").dtype.names or ())


def test_box_size_comes_from_the_stacks_or_is_asked_for(interop, tmp_path):
    convert(interop / "empiar_10076_7.star", tmp_path / "a.cs")
    assert read_cs(tmp_path / "a.cs")["blob/shape"].tolist() == [[320, 320]] * 7
    with pytest.raises(InputError, match="or --box-size"):
        convert(interop / "FinalRefinement-OriginalParticles-PfCRT.star", tmp_path / "b.cs")


TILTED = {"rlnBeamTiltX": [0.3], "rlnBeamTiltY": [-0.2], "rlnEvenZernike": ["[1,2,3,4,5,6,7,8,9]"]}


def test_aberrations_come_back_as_they_were_written(star_set, files, tmp_path):
    path = star_set(files.optics | TILTED, rlnCtfBfactor=[1, 2, 3, 4])
    convert(path, tmp_path / "a.cs")
    assert read_cs(tmp_path / "a.cs")["ctf/tilt_A"].any()
    done = convert(tmp_path / "a.cs", tmp_path / "b.star")
    assert done.changed == ()
    same_tables(path, tmp_path / "b.star")


@pytest.mark.parametrize(
    ("field", "more"),
    [("ctf/tilt_A", 900), ("ctf/tetra_A", 1e6), ("ctf/anisomag", 0.05), ("ctf/df1_A", 100)],
)
def test_optics_refined_in_the_other_program_are_taken(star_set, files, tmp_path, field, more):
    convert(star_set(files.optics | TILTED), tmp_path / "a.cs")
    records = read_cs(tmp_path / "a.cs")
    records[field] += np.float32(more)
    write_cs(tmp_path / "a.cs", records)
    done = convert(tmp_path / "a.cs", tmp_path / "b.star")
    assert done.changed
    found, wanted = (
        fields_of(source)
        for source in (
            read_star_particles(tmp_path / "b.star"),
            read_cs_particles(tmp_path / "a.cs"),
        )
    )
    for name, rows in differences(wanted, found).items():
        assert not rows.any() or name in ("class_number", "posterior"), name
    assert read_star(tmp_path / "b.star")["particles"].text("someoneElsesColumn")[3] == "x3"


def test_tilts_that_differ_within_an_optics_group_are_refused(star_set, files, tmp_path):
    convert(star_set(files.optics | TILTED), tmp_path / "a.cs")
    records = read_cs(tmp_path / "a.cs")
    records["ctf/tilt_A"][2] += 5000
    write_cs(tmp_path / "a.cs", records)
    with pytest.raises(InputError, match="_rlnBeamTiltX: .*convert without the passthrough file"):
        convert(tmp_path / "a.cs", tmp_path / "b.star")
    (tmp_path / "a_passthrough.star").unlink()
    convert(tmp_path / "a.cs", tmp_path / "b.star")
    assert len(read_star(tmp_path / "b.star")["optics"]) == 2


def test_aberrations_refined_in_relion_go_to_the_table(cs_set, files, tmp_path):
    convert(cs_set(files.records()), tmp_path / "a.star")
    star = read_star(tmp_path / "a.star")
    optics = star["optics"].with_columns({"rlnBeamTiltX": [1.0], "rlnMagMat00": [1.01]})
    write_star(tmp_path / "a.star", star.with_table(optics))
    done = convert(tmp_path / "a.star", tmp_path / "b.cs")
    assert set(done.changed) == {"odd_aberration", "magnification"}
    new = read_cs(tmp_path / "b.cs")
    np.testing.assert_allclose(new["ctf/tilt_A"][0], [2.7e4, 0], rtol=1e-6)
    np.testing.assert_allclose(new["ctf/anisomag"][0], [0.01, 0, 0, 0], rtol=1e-5)


def test_what_the_other_program_has_no_place_for_is_listed(star_set, cs_set, files, tmp_path):
    star = star_set(rlnIsFlip=[0, 1, 0, 0])
    assert convert(star, tmp_path / "a.cs").left_out == (
        "_someoneElsesColumn",
        "mirrored (1 for images to be mirrored)",
    )
    assert convert(star, tmp_path / "b.star").left_out == ()
    terms = files.optics | {"rlnOddZernike": ["[" + "0," * 6 + "1]"]}
    (_, last) = convert(star_set(terms), tmp_path / "c.cs").left_out
    assert last == "terms of _rlnOddZernike and _rlnEvenZernike above the fourth order"
    assert convert(cs_set(files.records()), tmp_path / "d.star").left_out == (
        "someone/elses_field",
    )
