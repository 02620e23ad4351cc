"""RELION finds a Class3D job."""

import numpy as np
import pytest

from emjax.io.mrc.volume import read_volume
from emjax.io.star.lists import read_lists
from emjax.io.star.tables import read_star


def test_a_job_of_class3d(exported, classes):
    folder = exported / "relion"
    rows = read_star(folder / "run_it025_data.star")["particles"]
    assert rows.text("rlnClassNumber") == ["1", "2", "1"]
    assert rows.text("someoneElsesColumn") == ["x0", "x2", "x3"]
    left = read_star(folder / "run_unassigned_data.star")["particles"]
    assert left.text("someoneElsesColumn") == ["x1"]
    for number, own in ((1, ["x0", "x3"]), (2, ["x2"])):
        part = read_star(folder / f"particles_class_00{number}.star")["particles"]
        assert part.text("someoneElsesColumn") == own
        assert set(part.text("rlnClassNumber")) == {str(number)}
    model = read_lists(folder / "run_it025_model.star")
    rows = model["model_classes"]
    # Two of the three assigned particles, to six decimals.
    assert rows["rlnClassDistribution"].tolist() == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    assert rows["rlnEstimatedResolution"].tolist() == [10, 20]
    for path, one in zip(rows["rlnReferenceImage"], classes, strict=True):
        np.testing.assert_array_equal(read_volume(path)[0], read_volume(one.map)[0])
    assert model["model_general"]["rlnOriginalImageSize"].tolist() == [8]
    optimiser = read_lists(folder / "run_it025_optimiser.star")["optimiser_general"]
    assert (folder / "run_it025_model.star").samefile(optimiser["rlnModelStarFile"][0])
    half = read_volume(folder / "run_half2_class001_unfil.mrc")[0]
    np.testing.assert_array_equal(half, read_volume(classes[0].half_maps[1])[0])
