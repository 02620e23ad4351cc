"""Configurations for public sets fit files of the same layout, made here and much smaller."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from emjax.io.mrc.volume import write_stack
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.poses import matrix_to_euler
from emjax.io.star.tables import StarFile, make_table, write_star
from emjax.simulate.particles import phantom, simulate
from tests.campaigns import ROOT
from tests.cli.conftest import Emjax

PAGE = ROOT / "docs/public-sets.md"
CONFIGS = sorted((ROOT / "docs/public").glob("*.yaml"))
OPTICS = {"Voltage": 300.0, "SphericalAberration": 2.7, "AmplitudeContrast": 0.1}
BOX, N = 64, 240
Columns = dict[str, np.ndarray | list[str]]


def simulated(extent: float, *stacks: str) -> tuple[Columns, float]:
    """Particles in equal parts of the stacks, in a box as wide in Å as the real one's.

    The columns are those of RELION before 3.1: magnification, and origins in pixels.
    """
    pixel_size, part = extent / BOX, N // len(stacks)
    made = simulate(phantom(2, BOX, seed=1), N, seed=1, pixel_size=pixel_size)
    for k, path in enumerate(map(Path, stacks)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_stack(path, made.images[k * part : (k + 1) * part], pixel_size)
    rot, tilt, psi = matrix_to_euler(made.rotations).T
    one = np.ones(N)
    columns: Columns = {
        "rlnImageName": [f"{i % part + 1:06d}@{stacks[i // part]}" for i in range(N)],
        "rlnDefocusU": np.asarray(made.ctf.defocus_u),
        "rlnDefocusV": np.asarray(made.ctf.defocus_v),
        "rlnDefocusAngle": np.degrees(made.ctf.defocus_angle),
        "rlnPhaseShift": 0 * one,
        "rlnVoltage": 300 * one,
        "rlnSphericalAberration": 2.7 * one,
        "rlnAmplitudeContrast": 0.1 * one,
        "rlnMagnification": 1e4 * one,
        "rlnDetectorPixelSize": pixel_size * one,
        "rlnAngleRot": rot,
        "rlnAngleTilt": tilt,
        "rlnAnglePsi": psi,
        "rlnOriginX": made.shifts[:, 0] / pixel_size,
        "rlnOriginY": made.shifts[:, 1] / pixel_size,
    }
    return columns, pixel_size


def like_10076() -> None:
    """A stack, and poses that CryoSPARC refined."""
    columns, _ = simulated(320 * 1.31, "J3/imported/L17Combine_weight_local.mrcs")
    write_star("made.star", StarFile((make_table("", columns),), None))
    write_particles("cryosparc_P4_J33_004_particles.cs", read_particles("made.star"))
    Path("made.star").unlink()


def like_10028() -> None:
    """A refinement of one table of two folders of stacks, without optics groups."""
    folders = ("Particles/MRC_0601", "Particles/MRC_1901")
    columns, _ = simulated(360 * 1.34, *(f"{folder}/001_particles.mrcs" for folder in folders))
    Path("Refine3D/job002").mkdir(parents=True)
    write_star("Refine3D/job002/run_data.star", StarFile((make_table("", columns),), None))


def like_ribosembly() -> None:
    """What cryoDRGN's tool writes: optics groups without names, origins in pixels."""
    columns, pixel_size = simulated(128 * 3.0, "Ribosembly/images/0.128.mrcs")
    for name in ("Magnification", "DetectorPixelSize", *OPTICS):
        del columns[f"rln{name}"]
    # Relative to the file, as written.
    names = [name.replace("Ribosembly/", "") for name in columns["rlnImageName"]]
    columns |= {"rlnImageName": names, "rlnOpticsGroup": np.ones(N, int)}
    optics = {"rlnImageSize": np.array([float(BOX)]), "rlnImagePixelSize": np.array([pixel_size])}
    optics |= {f"rln{name}": np.array([value]) for name, value in OPTICS.items()}
    optics["rlnOpticsGroup"] = np.array([1])
    tables = make_table("optics", optics), make_table("particles", columns)
    write_star("Ribosembly/particles.star", StarFile(tables, None))


LAYOUTS = {
    "empiar-10076": like_10076,
    "empiar-10028": like_10028,
    "ribosembly": like_ribosembly,
}


def test_each_configuration_has_a_layout_and_stands_on_the_page():
    assert {path.stem for path in CONFIGS} == set(LAYOUTS)
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"public/{path.name}" in page for path in CONFIGS)
    assert "Not run here" in page


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configurations_fit_files_of_the_same_layout(config: Path, emjax: Emjax):
    LAYOUTS[config.stem]()
    shutil.copy(config, ".")
    checked = emjax("check", config.name)
    assert checked.code == 0, checked.err
    assert f"{N} particles of {BOX} px" in checked.out and "warning" not in checked.out
    shown = emjax("run", config.name, "--dry-run", "--verbose", "--cores", "1")
    assert shown.code == 0, shown.err
    for job in ("classify_em3d", "fit_subspace", "build_consensus"):
        assert job in shown.out + shown.err


def test_sizes_of_the_sixteen_states_are_the_truth_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    (block,) = [b for b in text.split("```python\n")[1:] if "truth.csv" in b]
    exec(block.split("```")[0], {})
    rows = Path("truth.csv").read_text().split()[1:]
    assert len(rows) == 335_240 and len(set(rows)) == 16
    smallest = min(rows.count(row) for row in set(rows)) / len(rows)
    least = yaml.safe_load((ROOT / "docs/public/ribosembly.yaml").read_text())["consensus"]
    assert least["min_class_fraction"] < smallest
