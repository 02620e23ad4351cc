"""Classes that RELION made, rebalanced alone by one command, as a user would."""

import shutil
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.io.files import read_json, read_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import write_volume
from emjax.io.star.tables import StarFile, make_table, write_star
from emjax.simulate.particles import phantom

PROGRAMS = ("project", "refine", "star_printtable")
MISSING = [f"relion_{name}" for name in PROGRAMS if shutil.which(f"relion_{name}") is None]
pytestmark = [
    pytest.mark.relion,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
N, BOX, PIXEL, CLASSES = 300, 32, 6.0, 8


def relion(words: str, cwd: Path) -> str:
    done = subprocess.run(
        f"relion_{words}".split(), cwd=cwd, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A Class2D job on noisy images of three views; RELION leaves some of its classes empty."""
    folder, rng = tmp_path_factory.mktemp("class2d"), np.random.default_rng(0)
    write_volume(folder / "phantom.mrc", phantom(1, BOX)[0], PIXEL)
    views = Rotation.random(3, random_state=3).as_euler("ZYZ", degrees=True)[rng.integers(0, 3, N)]
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["opticsGroup1"], "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1],
        "rlnImagePixelSize": [PIXEL], "rlnImageSize": [BOX], "rlnImageDimensionality": [2],
    }  # fmt: skip
    particles = {
        "rlnImageName": [f"{i + 1:06d}@images.mrcs" for i in range(N)],
        "rlnMicrographName": [f"mic{i // 50}.mrc" for i in range(N)],
        "rlnOpticsGroup": np.ones(N, int),
        "rlnDefocusU": np.full(N, 12000.0), "rlnDefocusV": np.full(N, 12000.0),
        "rlnDefocusAngle": np.zeros(N),
    }  # fmt: skip
    poses = {
        "rlnAngleRot": views[:, 2].round(3), "rlnAngleTilt": views[:, 1].round(3),
        "rlnAnglePsi": rng.uniform(-180, 180, N).round(3),
    }  # fmt: skip
    for name, columns in (("poses", particles | poses), ("particles", particles)):
        tables = make_table("optics", optics), make_table("particles", columns)
        write_star(folder / f"{name}.star", StarFile(tables))
    relion(f"project --i phantom.mrc --ang poses.star --o images --ctf --angpix {PIXEL}", folder)
    with mrcfile.open(folder / "images.mrcs", "r+") as stack:
        stack.data[:] += rng.normal(0, stack.data.std(), stack.data.shape).astype(np.float32)
    (folder / "Class2D/job010").mkdir(parents=True)
    relion(
        f"refine --i particles.star --o Class2D/job010/run --ctf --K {CLASSES} --iter 6"
        " --tau2_fudge 2 --particle_diameter 170 --flatten_solvent --zero_mask --oversampling 1"
        " --psi_step 24 --offset_range 4 --offset_step 2 --norm --scale --j 1 --pool 30 --pad 1"
        " --dont_combine_weights_via_disc --preread_images --random_seed 1",
        folder,
    )
    return folder


def test_relions_classes_are_grouped_without_those_that_are_empty(project: Path):
    labels = read_labels(project / "Class2D/job010")[1]
    sizes = np.bincount(labels, minlength=CLASSES)
    empty = (np.flatnonzero(sizes == 0) + 1).tolist()
    assert empty, "the job was to leave classes empty"
    command = [sys.executable, "-m", "emjax", "rebalance", "Class2D/job010", "--cores", "1"]
    done = subprocess.run(
        [*command, "-o", "alone", "--superclasses", "2"],
        cwd=project, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "options: alone.yaml"
    results = project / "results/alone"
    table = read_tsv(results / "rebalance/superclasses.tsv")
    np.testing.assert_array_equal(table["size"], sizes)
    np.testing.assert_array_equal(table["superclass"] == 0, sizes == 0)
    assert set(table["superclass"]) == {0, 1, 2}
    assert read_json(results / "rebalance/rebalance.json")["left_out"] == {"no particle": empty}
    # Superclasses of filled averages only.
    means = np.asarray(read_header(results / "rebalance/superclasses/averages.mrcs").open())
    assert (means.std((1, 2)) > 0.1 * means.std()).all()
    assert {path.name for path in results.iterdir()} == {
        "rebalance", "figures", "report.html", "verdict.json", "campaign.json",
    }  # fmt: skip
    words = "star_printtable results/alone/rebalance/templates/templates.star data_ rlnImageName"
    assert len(relion(words, project).split()) == CLASSES - len(empty)
