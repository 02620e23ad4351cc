"""Particles and map of each superclass."""

import numpy as np

from emjax.io.cryosparc.tables import read_cs
from emjax.io.export.superclasses import export_superclasses
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import read_star
from tests.io.export.conftest import COLUMNS, NUMBER


def test_classes_of_a_superclass_are_together(star_set, classes, tmp_path):
    particles, folder = read_particles(star_set()), tmp_path / "superclasses"
    written = export_superclasses(folder, particles, COLUMNS, classes, np.array([1, 1]))
    assert [path.name for path in written] == ["superclass_001.star", "superclass_001.mrc"]
    table = read_star(written[0])["particles"]
    assert table.text("someoneElsesColumn") == ["x0", "x2", "x3"]
    assert table.text("rlnClassNumber") == ["1", "2", "1"]
    assert table.text("emjaxSuperclass") == ["1", "1", "1"]
    first, second = (read_volume(one.map)[0] for one in classes)
    average, voxel_size = read_volume(written[1])
    # Two particles and one; single precision.
    np.testing.assert_allclose(average, (2 * first + second) / 3, atol=1e-6)
    assert voxel_size == 3


def test_the_map_of_a_single_class_is_linked(star_set, classes, tmp_path):
    particles = read_particles(star_set())
    export_superclasses(tmp_path / "own", particles, COLUMNS, classes, np.array([2, 1]))
    assert (tmp_path / "own/superclass_001.mrc").samefile(classes[1].map)
    of_two = read_star(tmp_path / "own/superclass_002.star")["particles"]
    assert of_two.text("someoneElsesColumn") == ["x0", "x3"]


def test_classes_of_no_superclass_and_empty_ones(star_set, classes, tmp_path):
    particles = read_particles(star_set())
    columns = {"rlnClassNumber": np.where(NUMBER == 2, 0, NUMBER)}
    written = export_superclasses(tmp_path / "a", particles, columns, classes, np.array([0, 1]))
    assert [path.name for path in written] == ["superclass_001.mrc"]


def test_a_cryosparc_input_gets_its_own_format_too(star_set, classes, tmp_path):
    from emjax.io.convert.convert import convert

    convert(str(star_set()), str(tmp_path / "in.cs"), image_root=str(star_set().parent))
    particles = read_particles(tmp_path / "in.cs", star_set().parent)
    written = export_superclasses(tmp_path / "cs", particles, COLUMNS, classes, np.array([1, 2]))
    assert {path.suffix for path in written} == {".star", ".cs", ".csg", ".mrc"}
    records = read_cs(tmp_path / "cs/superclass_001.cs")
    whole = read_cs(tmp_path / "in.cs")
    assert records["uid"].tolist() == whole["uid"][[0, 3]].tolist()
    assert records["emjax/superclass"].tolist() == [1, 1]
