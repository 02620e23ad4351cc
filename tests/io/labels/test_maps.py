"""Maps of classes beside their label files, by the names that programs give them."""

from pathlib import Path

import pytest

from emjax.io.labels.maps import find_class_map
from emjax.io.star.lists import write_lists


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("labels", "names", "wanted"),
    [
        ("run_it025_data.star", ["run_it024_class002.mrc", "run_it025_class002.mrc"],
         "run_it025_class002.mrc"),
        ("run_ct20_it025_data.star", ["run_ct20_it025_class002.mrc"],
         "run_ct20_it025_class002.mrc"),
        ("particles.star", ["class_001.mrc", "class_002.mrc"], "class_002.mrc"),
        ("J12_00103_particles.cs",
         ["J12_class_01_00098_volume.mrc", "J12_class_01_final_volume.mrc",
          "J12_class_01_final_volume_half_A.mrc", "J12_class_00_final_volume.mrc"],
         "J12_class_01_final_volume.mrc"),
        ("cryosparc_P3_J12_00103_particles.cs",
         ["cryosparc_P3_J12_class_01_00098_volume.mrc",
          "cryosparc_P3_J12_class_01_00103_volume.mrc",
          "cryosparc_P3_J13_class_01_00200_volume.mrc"],
         "cryosparc_P3_J12_class_01_00103_volume.mrc"),
        ("run_it025_data.star", ["run_it025_class001.mrc"], None),
        ("J12_00103_particles.cs", ["J12_class_11_final_volume.mrc"], None),
    ],
)  # fmt: skip
def test_the_second_class(tmp_path: Path, labels: str, names: list[str], wanted: str | None):
    touch(tmp_path, labels, *names)
    found = find_class_map(tmp_path / labels, 2)
    assert found == (None if wanted is None else tmp_path / wanted)


def test_a_job_folder_and_names_in_the_model_file(tmp_path: Path):
    job = tmp_path / "Class3D/job001"
    touch(job, "run_it025_data.star", "moved_2.mrc")
    rows = {"rlnReferenceImage": ["Class3D/job001/moved_1.mrc", "Class3D/job001/moved_2.mrc"]}
    write_lists(job / "run_it025_model.star", {"model_classes": rows})
    assert find_class_map(job, 2) == job / "moved_2.mrc"
    assert find_class_map(job, 1) is None and find_class_map(job, 3) is None
