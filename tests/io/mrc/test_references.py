"""Class averages and maps as other programs list them."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.mrc.references import (
    check_same_job,
    read_references,
    write_averages,
    write_templates,
)
from emjax.io.mrc.volume import write_volume

MODEL = """
data_model_general

_rlnReferenceDimensionality  2

data_model_classes

loop_
_rlnReferenceImage #1
_rlnClassDistribution #2
000001@run_it025_classes.mrcs 0.25
000002@run_it025_classes.mrcs 0.00
000003@run_it025_classes.mrcs 0.75
"""


@pytest.fixture
def averages() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 8, 8)).astype(np.float32)


def write_stack(path: Path, images: np.ndarray) -> None:
    with mrcfile.new(path, images) as stack:
        stack.set_image_stack()
        stack.voxel_size = 2.5


def test_relion_class2d(tmp_path: Path, averages: np.ndarray) -> None:
    write_stack(tmp_path / "run_it025_classes.mrcs", averages)
    model = tmp_path / "run_it025_model.star"
    model.write_text(MODEL)
    found = read_references([model])
    np.testing.assert_array_equal(found.densities, averages)
    assert found.pixel_size == 2.5
    assert found.fractions is not None
    np.testing.assert_allclose(found.fractions, [0.25, 0, 0.75])
    # The stack alone, without its model.
    stack = read_references([tmp_path / "run_it025_classes.mrcs"])
    np.testing.assert_array_equal(stack.densities, averages)


def test_cryosparc_templates(tmp_path: Path, averages: np.ndarray) -> None:
    write_stack(tmp_path / "J5_class_averages.mrc", averages)
    columns = [("blob/path", "S32"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4")]
    records = np.zeros(3, columns)
    records["blob/path"], records["blob/idx"] = b">J5_class_averages.mrc", [2, 0, 1]
    with (tmp_path / "templates.cs").open("wb") as stream:
        np.save(stream, records)
    found = read_references([tmp_path / "templates.cs"])
    # A class has its number in the stack, in whatever order the table lists them.
    np.testing.assert_array_equal(found.densities, averages)
    with (tmp_path / "templates.cs").open("wb") as stream:
        np.save(stream, records[:1])
    selected = read_references([tmp_path / "templates.cs"])
    np.testing.assert_array_equal(selected.densities[2], averages[2])
    assert not selected.densities[:2].any() and selected.names[:2] == ("", "")


def test_maps(tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).standard_normal((2, 6, 6, 6)).astype(np.float32)
    paths = [tmp_path / f"class_{k}.mrc" for k in range(2)]
    for path, volume in zip(paths, volumes, strict=True):
        write_volume(path, volume, 3.0)
    found = read_references(paths)
    np.testing.assert_array_equal(found.densities, volumes)
    for path, number in zip(paths, (3, 1), strict=True):
        path.rename(tmp_path / f"class_{number:03d}.mrc")
    numbered = read_references([tmp_path / "class_003.mrc", tmp_path / "class_001.mrc"])
    np.testing.assert_array_equal(numbered.densities[[2, 0]], volumes)
    assert numbered.files[2].name == "class_003.mrc" and not numbered.densities[1].any()
    with pytest.raises(InputError, match="one .mrc map per class"):
        read_references([tmp_path / "class_001.mrc", _touch(tmp_path / "x.star")])


def _touch(path: Path) -> Path:
    path.write_text("")
    return path


def test_what_is_written_is_read_again(
    tmp_path: Path, averages: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    averages[1] = 0
    shares = {"rlnClassDistribution": np.array([0.5, 0, 0.5])}
    write_averages(Path("averages.mrcs"), averages, 4.0, shares)
    found = read_references([Path("averages.star")])
    np.testing.assert_array_equal(found.densities, averages)
    np.testing.assert_array_equal(found.fractions, [0.5, 0, 0.5])


def test_templates_are_passed_on_unchanged(
    tmp_path: Path, averages: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_averages(Path("averages.mrcs"), averages, 4.0, {})
    found = read_references([Path("averages.star")])
    folder = Path("templates")
    folder.mkdir()
    write_templates(folder, found, np.array([0, -1, 1]))
    for name in ("templates.star", "templates.cs", "templates.mrcs"):
        again = read_references([folder / name])
        kept = again.densities[[0, 2]] if name.endswith("star") else again.densities
        np.testing.assert_array_equal(kept, averages[[0, 2]])
        assert again.pixel_size == 4
    assert not read_references([folder / "templates.star"]).densities[1].any()


def test_averages_of_another_job_are_an_error(tmp_path: Path, averages: np.ndarray) -> None:
    write_stack(tmp_path / "run_it025_classes.mrcs", averages)
    model = tmp_path / "run_it025_model.star"
    model.write_text(MODEL)
    found = read_references([model])
    data = Path("data.star")
    check_same_job(found, np.repeat([0, 2, -1], [25, 75, 10]), model, data)
    with pytest.raises(InputError, match="class 5 in data.star.*same job"):
        check_same_job(found, np.array([0, 4]), model, data)
    with pytest.raises(InputError, match="shares that differ by 75%.*same job"):
        check_same_job(found, np.array([0, 0, 0]), model, data)


def test_missing_and_odd_files_are_errors(tmp_path: Path, averages: np.ndarray) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_references([tmp_path / "nothing.mrcs"])
    model = tmp_path / "run_it025_model.star"
    model.write_text(MODEL)
    write_stack(tmp_path / "run_it025_classes.mrcs", averages[:2])
    with pytest.raises(InputError, match="row 3: found image 3, expected 1 to 2"):
        read_references([model])
    averages[0, 0, 0], averages[1] = np.nan, np.nan
    with pytest.warns(RuntimeWarning):
        write_stack(tmp_path / "nan.mrcs", averages)
    with pytest.raises(InputError, match="NaN or infinite"):
        read_references([tmp_path / "nan.mrcs"])
