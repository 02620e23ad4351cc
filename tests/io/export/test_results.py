"""Classes and labels of a campaign become files for other programs."""

import numpy as np
import pandas as pd
import pytest

from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs
from emjax.io.export.classes import describe_class
from emjax.io.export.results import export_results
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.columns import set_aside
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
        classes.append(describe_class(maps[0], (maps[1], maps[2]), pd.DataFrame(fsc)))
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


def test_fit_and_reason_are_exported_and_come_back_from_cryosparc(results, tmp_path):
    folder, where, particles = results
    reasons, fit = ["none", "junk", "none", "none"], [120.5, -1.25, 87.0, 93.0]
    table = read_particles(where[1])
    write_particles(where[1], table, {"emjaxSetAside": np.array(reasons), "emjaxFit": fit})
    export_results(*where, particles)
    export = folder / "export"
    assigned = read_star(export / "relion/run_it025_data.star")["particles"]
    assert assigned.text("emjaxSetAside") == ["none"] * 3
    unassigned = read_star(export / "relion/run_unassigned_data.star")["particles"]
    assert unassigned.text("emjaxSetAside") == ["junk"]
    assert unassigned.numbers("emjaxFit").tolist() == [-1.25]
    listed = pd.read_csv(export / "particles.csv", keep_default_na=False)
    assert listed["emjaxSetAside"].tolist() == reasons and listed["emjaxFit"].tolist() == fit
    records = read_cs(export / "cryosparc/particles.cs")
    assert records["emjax/set_aside"].tolist() == [reason.encode() for reason in reasons]
    assert read_cs(export / "cryosparc/particles_unassigned.cs")["emjax/fit"].tolist() == [-1.25]
    again = read_particles(export / "cryosparc/particles.cs", check_images=False)
    assert set_aside(again.source).tolist() == reasons
    write_particles(tmp_path / "again.cs", again, {"emjaxSetAside": set_aside(again.source)})
    np.testing.assert_array_equal(read_cs(tmp_path / "again.cs"), records)


def test_other_particles_are_refused(results):
    _, where, particles = results
    with pytest.raises(InputError, match="other particles or another order"):
        export_results(*where, particles.select(np.array([1, 0, 2, 3])))
