"""An export of two classes."""

import numpy as np
import pytest

from emjax.io.export.classes import ExportedClass
from emjax.io.export.programs import export_campaign
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import read_particles

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
    written = export_campaign(
        tmp_path / "export", particles, COLUMNS, classes, superclasses=np.array([1, 1])
    )
    assert all(path.is_file() for path in written)
    on_disk = [path for path in (tmp_path / "export").rglob("*") if path.is_file()]
    assert sorted(written) == sorted(on_disk)
    return tmp_path / "export"
