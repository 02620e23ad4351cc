"""Exports hold what the other programs look for."""

import csv

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.export.classes import ExportedClass
from emjax.io.export.programs import FORMATS, export_campaign
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles
from tests.io.export.conftest import COLUMNS


def test_cryosparc(exported):
    identity, labels, _ = read_labels(exported / "cryosparc" / "particles.csg")
    assert labels.tolist() == [0, -1, 1, 0]
    part = read_particles(exported / "cryosparc" / "particles_class_001.csg", exported.parent)
    assert part.identity.tolist() == identity[[0, 3]].tolist()


def test_indices_and_table(exported):
    assert np.load(exported / "cryodrgn" / "class_001.npy").tolist() == [0, 3]
    assert (exported / "cryodrgn" / "assigned.txt").read_text().split() == ["0", "2", "3"]
    with (exported / "particles.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[2]["identity"] == "000003@stack.mrcs" and rows[2]["emjaxStability"] == "1.0"
    assert read_labels(exported / "particles.csv")[1].tolist() == [0, -1, 1, 0]


def test_particles_of_no_class_are_on_their_own(exported):
    part = read_particles(exported / "cryosparc" / "particles_unassigned.csg", exported.parent)
    everyone = read_labels(exported / "cryosparc" / "particles.csg")[0]
    assert part.identity.tolist() == everyone[[1]].tolist()
    assert np.load(exported / "cryodrgn" / "unassigned.npy").tolist() == [1]
    assert (exported / "cryodrgn" / "unassigned.txt").read_text() == "1\n"


def test_no_file_is_about_unassigned_particles_where_there_are_none(star_set, classes, tmp_path):
    particles = read_particles(star_set())
    columns = {"rlnClassNumber": np.array([1, 2, 2, 1])}
    written = export_campaign(tmp_path / "all", particles, columns, classes)
    assert not [path.name for path in written if "unassigned" in path.name]


def test_wrong_requests_are_errors(star_set, classes, tmp_path):
    particles = read_particles(star_set())
    with pytest.raises(InputError, match="found xmipp, expected any of relion"):
        export_campaign(tmp_path, particles, COLUMNS, classes, ("xmipp",))
    with pytest.raises(InputError, match="class numbers 0 to 2 of 4.*expected 0 to 1"):
        export_campaign(tmp_path, particles, COLUMNS, classes[:1])
    missing = [ExportedClass(tmp_path / "none.mrc"), classes[1]]
    with pytest.raises(InputError, match="no such file"):
        export_campaign(tmp_path / "x", particles, COLUMNS, missing, ("chimerax",))
    programs = {"relion", "cryosparc", "cryodrgn", "table", "chimerax"}
    assert set(FORMATS) == programs | {"maps", "superclasses", "zip"}
