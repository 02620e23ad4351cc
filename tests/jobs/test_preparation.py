"""Prepared particles from files, and what is written of them."""

import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest

import emjax
from emjax.campaign.folder import PrepareFolder
from emjax.classify.outliers import OutlierOptions, leave_out
from emjax.classify.pose_refinement import Refinement
from emjax.errors import InputError
from emjax.imaging.bad_images import BadImages
from emjax.imaging.prepare import PrepareOptions
from emjax.io.files import read_tsv, write_tsv
from emjax.io.particles.columns import set_aside
from emjax.io.particles.particle_set import read_particles
from emjax.jobs.preparation import bad_images_table, write_prepared


@pytest.fixture
def spoiled(particles: Path, tmp_path: Path) -> Path:
    """Particles of which the image 21 holds NaN and the image 31 is blank."""
    shutil.copytree(particles, tmp_path / "data")
    (stack,) = (tmp_path / "data").glob("*.mrcs")
    with mrcfile.mmap(stack, "r+") as mrc:
        mrc.data[20, 4, 5], mrc.data[30] = np.nan, 2
    return tmp_path / "data" / "particles.star"


@pytest.mark.slow
def test_the_library_goes_without_bad_images(spoiled: Path, tmp_path: Path):
    table = read_particles(spoiled)
    options, off = PrepareOptions(24.0), OutlierOptions(0.0)
    found = emjax.prepare(table, options, outliers=off)
    assert found.bad_images.rows.tolist() == [20, 30]
    everyone = np.arange(table.n)
    good = np.delete(everyone, [20, 30])
    assert np.flatnonzero(found.particles.weight).tolist() == good.tolist()
    maps = [emjax.reconstruct(table, found, members).volume for members in (everyone, good)]
    np.testing.assert_array_equal(*maps)

    folder = PrepareFolder(tmp_path / "prepare")
    exact = Refinement(None, None)
    write_prepared(folder, *leave_out(found, off, options), exact, table, (".star", ".cs"), [])
    assert read_tsv(folder.bad_images)["particle"].tolist() == [21, 31]
    for path in folder.particles.all((".star", ".cs")):
        reasons = set_aside(read_particles(path, check_images=False).source)
        assert np.flatnonzero(reasons == "image").tolist() == [20, 30]
        assert set(reasons[good].tolist()) == {"none"}


@pytest.mark.slow
def test_the_library_names_the_image_that_it_refuses(spoiled: Path):
    said = r"2 of 300 .*: 000021@.*\.mrcs \(not finite\), 000031@.*\.mrcs \(constant\)"
    with pytest.raises(InputError, match=said):
        emjax.prepare(read_particles(spoiled), PrepareOptions(24.0, bad_images="error"))


@pytest.mark.parametrize("rows", [[], [4, 17]])
def test_bad_images_are_listed_by_number_and_name(rows: list[int], tmp_path: Path):
    n = len(rows)
    bad = BadImages(np.array(rows, int), ("norm",) * n, np.full(n, 30.5), np.full(n, 5.0))
    write_tsv(tmp_path / "bad_images.tsv", bad_images_table(bad, lambda row: f"{row + 1}@a.mrcs"))
    found = read_tsv(tmp_path / "bad_images.tsv")
    assert list(found) == ["particle", "image", "reason", "measure", "value", "limit"]
    assert found["particle"].tolist() == [row + 1 for row in rows]
    assert found["image"].tolist() == [f"{row + 1}@a.mrcs" for row in rows]
    assert found["value"].tolist() == [30.5] * n and found["limit"].tolist() == [5.0] * n
    assert all("standard deviation over" in text for text in found["measure"])
