"""Classes and labels of a campaign become files for other programs."""

import numpy as np
import pandas as pd
import pytest

from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs
from emjax.io.export.classes import find_class
from emjax.io.export.results import export_results
from emjax.io.files import write_tsv
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.lists import read_lists
from emjax.io.star.tables import read_star


@pytest.fixture
def results(star_set, tmp_path):
    particles = read_particles(star_set())
    folder = tmp_path / "results" / "demo"
    columns = {"rlnClassNumber": np.array([2, 0, 1, 2]), "emjaxStability": np.full(4, 0.5)}
    columns["rlnRandomSubset"] = np.array([2, 1, 1, 2])
    write_particles(folder / "consensus" / "particles.star", particles, columns)
    volume, classes = np.eye(8)[:, None] + np.eye(8), []
    for k in (1, 2):
        maps = [folder / f"consensus/class_00{k}{part}.mrc" for part in ("", "_half1", "_half2")]
        for path in maps:
            write_volume(path, volume, 3.0)
        fsc = {"resolution": [24.0, 12.0, 8.0, 6.0], "fsc": [0.9, 0.5, 0.1, 0.3]}
        fsc_path = folder / f"consensus/class_00{k}_fsc.tsv"
        write_tsv(fsc_path, pd.DataFrame(fsc))
        classes.append(find_class(maps[0], (maps[1], maps[2]), fsc_path))
    where = folder / "export", folder / "consensus" / "particles.star", classes
    return folder, where, particles


def test_everything_is_written(results):
    folder, where, particles = results
    written = export_results(*where, particles)
    assert all(path.is_file() and folder / "export" in path.parents for path in written)
    model = read_lists(folder / "export" / "relion" / "run_it025_model.star")
    # The FSC falls from 0.5 in shell 2 to 0.1 in shell 3 of a box of 24 Å.
    expected = 24 / (2 + (0.5 - 0.143) / 0.4)
    assert model["model_classes"]["rlnEstimatedResolution"].tolist() == pytest.approx(
        [expected] * 2
    )
    assert model["model_class_1"]["rlnGoldStandardFsc"].tolist()[1:] == [0.9, 0.5, 0.1, 0.3]


def test_half_sets_that_the_campaign_drew_are_exported(results):
    folder, where, particles = results
    assert not particles.half.any()
    export_results(*where, particles, ("relion", "cryosparc"))
    data = read_star(folder / "export/relion/run_it025_data.star")["particles"]
    assert data.integers("rlnRandomSubset").tolist() == [2, 1, 2]
    records = read_cs(folder / "export/cryosparc/particles.cs")
    assert records["alignments3D/split"].tolist() == [1, 0, 0, 1]


def test_other_particles_are_refused(results):
    _, where, particles = results
    with pytest.raises(InputError, match="other particles or another order"):
        export_results(*where, particles.select(np.array([1, 0, 2, 3])))
