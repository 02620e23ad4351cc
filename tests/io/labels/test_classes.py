"""The averages that belong to particles, from one file or folder."""

from pathlib import Path

import pytest

from emjax.errors import InputError
from emjax.io.labels.classes import find_classes


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize(
    "given", ["", "run_it025_data.star", "run_it025_model.star", "run_it025_optimiser.star"]
)
def test_relion_jobs_by_any_of_their_files(given: str):
    touch("Class2D/job010/run_it024_data.star", "Class2D/job010/run_it024_model.star")
    for kind in ("data", "model", "optimiser"):
        touch(f"Class2D/job010/run_it025_{kind}.star")
    job = Path("Class2D/job010")
    assert find_classes(job / given) == (
        job / "run_it025_data.star",
        [job / "run_it025_model.star"],
    )


@pytest.mark.parametrize("given", ["J5", "J5/J5_020_particles.cs"])
def test_cryosparc_jobs(given: str):
    touch("J5/J5_019_particles.cs", "J5/J5_019_class_averages.cs", "J5/J5_020_particles.cs")
    touch("J5/J5_020_class_averages.cs", "J5/J5_passthrough_particles.cs")
    found = find_classes(given)
    assert found == (Path("J5/J5_020_particles.cs"), [Path("J5/J5_020_class_averages.cs")])


def test_selected_classes_of_either_program():
    touch("J6/particles_selected.cs", "J6/templates_selected.cs")
    assert find_classes("J6")[1] == [Path("J6/templates_selected.cs")]
    touch("Select/job011/particles.star", "Select/job011/class_averages.star")
    assert find_classes("Select/job011")[1] == [Path("Select/job011/class_averages.star")]


def test_maps_of_a_run_without_its_half_maps():
    touch("run/particles.star", *(f"run/class_{k:03d}.mrc" for k in (1, 2)))
    touch("run/class_001_half1.mrc", "run/class_002_hard.mrc")
    assert find_classes("run") == (
        Path("run/particles.star"),
        [Path("run/class_001.mrc"), Path("run/class_002.mrc")],
    )


def test_maps_of_a_cryosparc_job():
    touch("J8/J8_00050_particles.cs", *(f"J8/J8_class_0{k}_00050_volume.mrc" for k in (0, 1)))
    touch("J8/J8_class_00_00049_volume.mrc")
    assert find_classes("J8/J8_00050_particles.cs")[1] == [
        Path("J8/J8_class_00_00050_volume.mrc"),
        Path("J8/J8_class_01_00050_volume.mrc"),
    ]


def test_what_is_not_there_is_reported_with_what_would_do():
    with pytest.raises(InputError, match="nothing: found nothing of this name, expected a RELION"):
        find_classes("nothing")
    touch("alone/particles.star", "J7/a_class_averages.cs", "J7/b_class_averages.cs", "J7/x.cs")
    for path in ("alone", "J7/x.cs"):
        with pytest.raises(InputError, match="no class averages or maps that belong to it"):
            find_classes(path)
