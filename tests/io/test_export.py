"""Exports hold what the other programs look for."""

import csv

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.export.classes import ExportedClass
from emjax.io.export.programs import FORMATS, export_campaign
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import read_star

NUMBER = np.array([1, 0, 2, 1])
COLUMNS = {"rlnClassNumber": NUMBER, "emjaxStability": np.array([0.25, 0, 1, 0.5])}


@pytest.fixture
def classes(tmp_path):
    made = []
    rng = np.random.default_rng(0)
    for k in (1, 2):
        paths = [tmp_path / f"in_{k}{part}.mrc" for part in ("", "_half1", "_half2")]
        for path in paths:
            write_volume(path, rng.normal(size=(8, 8, 8)), 3.0)
        made.append(ExportedClass(paths[0], (paths[1], paths[2]), 10.0 * k, np.ones(4)))
    return made


@pytest.fixture
def exported(star_set, classes, tmp_path):
    particles = read_particles(star_set())
    written = export_campaign(tmp_path / "export", particles, COLUMNS, classes)
    assert all(path.is_file() for path in written)
    on_disk = [path for path in (tmp_path / "export").rglob("*") if path.is_file()]
    assert sorted(written) == sorted(on_disk)
    return tmp_path / "export"


def test_relion(exported, classes):
    folder = exported / "relion"
    rows = read_star(folder / "run_it025_data.star")["particles"]
    assert rows.text("rlnClassNumber") == ["1", "2", "1"]
    assert rows.text("someoneElsesColumn") == ["x0", "x2", "x3"]
    left = read_star(folder / "run_unassigned_data.star")["particles"]
    assert left.text("someoneElsesColumn") == ["x1"]
    model = read_star(folder / "run_it025_model.star")
    assert model["model_classes"].numbers("rlnClassDistribution").sum() == pytest.approx(
        1, abs=2e-6
    )
    assert model["model_classes"].numbers("rlnEstimatedResolution").tolist() == [10, 20]
    for path in model["model_classes"].text("rlnReferenceImage"):
        assert read_volume(path)[0].shape == (8, 8, 8)
    half = read_volume(folder / "run_half2_class001_unfil.mrc")[0]
    np.testing.assert_array_equal(half, read_volume(classes[0].half_maps[1])[0])


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


def test_chimerax(exported, classes):
    folder = exported / "chimerax"
    assert sorted(path.name for path in folder.glob("class_*.mrc")) == [
        "class_001.mrc", "class_002.mrc"]  # fmt: skip
    mean = read_volume(folder / "mean.mrc")[0]
    first = read_volume(classes[0].map)[0]
    np.testing.assert_allclose(read_volume(folder / "difference_001.mrc")[0], first - mean)
    script = (folder / "classes.cxc").read_text()
    assert "open class_001.mrc class_002.mrc" in script and "class 1: 2 particles, 66.7%" in script
    assert script.count("color sample") == 2


def test_wrong_requests_are_told(star_set, classes, tmp_path):
    particles = read_particles(star_set())
    with pytest.raises(InputError, match="found xmipp, expected any of relion"):
        export_campaign(tmp_path, particles, COLUMNS, classes, ("xmipp",))
    with pytest.raises(InputError, match="class numbers 0 to 2 of 4.*expected 0 to 1"):
        export_campaign(tmp_path, particles, COLUMNS, classes[:1])
    with pytest.raises(InputError, match="no such file"):
        missing = [ExportedClass(tmp_path / "none.mrc"), classes[1]]
        export_campaign(tmp_path / "x", particles, COLUMNS, missing, ("chimerax",))
    assert set(FORMATS) == {"relion", "cryosparc", "cryodrgn", "table", "chimerax"}
