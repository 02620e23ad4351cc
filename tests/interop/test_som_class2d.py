"""A map of images that RELION aligned in 2D, and its classes in RELION's programs."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emjax.classify.som.images import circular_mask
from emjax.io.mrc.references import read_references
from emjax.io.mrc.resample import resampling_matrix
from emjax.io.particles.particle_set import read_particles
from tests.aligned_2d import PIXEL, write_images
from tests.som_jobs import labels_of, make_som_job, som_config

BOX = 32
PROGRAMS = ("relion_refine", "relion_star_printtable", "relion_star_handler")
pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="needs RELION"),
]


def relion(command: str) -> str:
    """What one of RELION's programs prints."""
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    return done.stdout


def test_a_class2d_job_is_mapped_and_its_map_opens_in_relion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data", 240, BOX)
    Path("Class2D/job001").mkdir(parents=True)
    # From the images alone: their own psi and origins are not looked at.
    relion(
        "relion_refine --i data/particles.star --o Class2D/job001/run --K 1 --iter 6"
        " --particle_diameter 120 --psi_step 12 --offset_range 4 --offset_step 1 --oversampling 1"
        " --zero_mask --norm --scale --pad 1 --j 1 --pool 30 --tau2_fudge 2"
        " --dont_combine_weights_via_disc --preread_images --random_seed 1 --flatten_solvent"
    )
    folder = make_som_job(Path(), som_config("map", "Class2D/job001", map=[5, 1]))
    classes = folder.classes
    labels = labels_of(folder, json.loads(classes.summary.read_text())["chosen"])
    averages = read_references([classes.model])
    mean = np.tensordot(averages.fractions, averages.densities, 1)
    to_full = resampling_matrix(len(mean), averages.pixel_size, BOX, PIXEL)
    mean = to_full @ mean @ to_full.T
    theirs = read_references([Path("Class2D/job001/run_it006_model.star")]).densities[0]
    inside = circular_mask(BOX, 0.4 * BOX) > 0
    # RELION weighs all poses, not the best alone.
    assert np.corrcoef(mean[inside], theirs[inside])[0, 1] > 0.9
    for other in (mean[:, ::-1], np.rot90(mean)):
        assert np.corrcoef(other[inside], theirs[inside])[0, 1] < 0.85
    shown = relion(
        f"relion_star_printtable {classes.model} data_model_classes rlnClassDistribution"
    )
    shares = np.bincount(labels, minlength=5) / len(labels)
    np.testing.assert_allclose(np.array(shown.split(), float), shares, atol=1e-5)
    relion(
        f"relion_star_handler --i {classes.particles.star} --o two.star --select rlnClassNumber"
        " --minval 2 --maxval 2"
    )
    two = read_particles("two.star", require_poses=False, require_ctf=False)
    assert two.n == np.sum(labels == 1)
