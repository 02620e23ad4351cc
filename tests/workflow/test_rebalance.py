"""Classes of other programs rebalanced alone: one command, its own files and report."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.io.cryosparc.tables import read_cs
from emjax.io.files import read_json, read_tsv
from emjax.io.mrc.header import read_header
from tests.rebalance.jobs import averages_of_views, write_class2d, write_cryosparc_2d, write_run

pytestmark = pytest.mark.slow
# 25 averages of 5 views, and two without particles.
TRUTH = np.insert(np.arange(25) % 5, [3, 16], -1)
SIZES = np.where(TRUTH < 0, 0, np.random.default_rng(3).integers(20, 90, 27)).tolist()


def emjax(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emjax", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


@pytest.fixture
def averages() -> np.ndarray:
    return np.insert(averages_of_views(25, 5), [3, 16], 0, axis=0)


@pytest.mark.parametrize("program", ["relion", "cryosparc"])
def test_views_are_found_without_blank_averages(
    tmp_path: Path, averages: np.ndarray, monkeypatch: pytest.MonkeyPatch, program: str
):
    monkeypatch.chdir(tmp_path)
    job = Path("Class2D/job010" if program == "relion" else "J5")
    (write_class2d if program == "relion" else write_cryosparc_2d)(job, averages, SIZES)
    done = emjax(tmp_path, "rebalance", str(job), "-o", "alone", "--factor", "1", "--cores", "1")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results/alone/rebalance"
    found = read_tsv(folder / "superclasses.tsv")["superclass"].to_numpy()
    np.testing.assert_array_equal(found == 0, TRUTH < 0)
    assert adjusted_rand_score(TRUTH[TRUTH >= 0], found[TRUTH >= 0]) == 1
    assert read_json(folder / "rebalance.json")["left_out"] == {"no particle": [4, 18]}
    means = np.asarray(read_header(folder / "superclasses/averages.mrcs").open())
    assert len(means) == 5 and (means.std((1, 2)) > 0.1 * means.std()).all()
    templates = read_header(folder / "templates/templates.mrcs").open()
    np.testing.assert_array_equal(templates, averages[TRUTH >= 0])
    kept = len((folder / "particles_kept.star").read_text().split("@")) - 1
    assert kept == 5 * min(np.bincount(TRUTH[TRUTH >= 0], np.array(SIZES)[TRUTH >= 0]))
    if program == "cryosparc":
        assert len(read_cs(folder / "particles_kept.cs")) == kept
        rows = read_cs(folder / "templates/templates.cs")
        given = read_cs(job / "J5_020_class_averages.cs")
        assert rows.tobytes() == given[TRUTH >= 0].tobytes()
    names = {path.name for path in (tmp_path / "results/alone").iterdir()}
    assert names == {"rebalance", "figures", "report.html", "verdict.json", "campaign.json"}
    assert "5 superclasses" in (tmp_path / "results/alone/verdict.json").read_text()
    again = emjax(tmp_path, "rebalance", str(job), "-o", "alone", "--factor", "1")
    assert again.returncode == 0 and "nothing to be done" in again.stderr
    other = emjax(tmp_path, "rebalance", str(job), "-o", "alone", "--factor", "0.5")
    assert other.returncode == 1 and "alone.yaml: found other options" in other.stderr


def test_maps_of_a_run_are_regrouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rng, box_size = np.random.default_rng(0), 24
    offsets, truth = np.indices((box_size,) * 3) - box_size // 2, np.arange(12) % 3
    bodies = [
        sum(np.exp(-((offsets - c[:, None, None, None]) ** 2).sum(0) / 6) for c in centres)
        for centres in rng.uniform(-6, 6, (3, 5, 3))
    ]
    volumes = np.stack([bodies[k] for k in truth])
    noise = 0.2 * volumes.std() * rng.standard_normal(volumes.shape)
    write_run(Path("run"), (volumes + noise).astype(np.float32), [20] * 12)
    done = emjax(tmp_path, "rebalance", "run", "-o", "alone", "--cores", "1")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results/alone/rebalance"
    found = read_tsv(folder / "superclasses.tsv")["superclass"]
    assert adjusted_rand_score(truth, found) == 1
    for s in range(1, 4):
        mean = np.asarray(read_header(folder / f"superclasses/superclass_{s:03d}.mrc").open())
        body = bodies[truth[np.flatnonzero(found == s)[0]]]
        # Noise of four maps is half that of one.
        assert np.corrcoef(mean.ravel(), body.ravel())[0, 1] > 0.99
