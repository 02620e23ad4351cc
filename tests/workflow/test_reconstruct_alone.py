"""Given classes reconstructed alone: they keep their numbers, and nothing else is made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emjax.campaign.draft import draft_reconstruct
from emjax.io.files import read_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.simulate.particles import phantom
from tests.workflow.conftest import Place

pytestmark = pytest.mark.slow

NUMBERS = np.array([7, 2, 5, 1])  # of the simulated states


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """A folder in which the true states were reconstructed, under numbers with gaps."""
    place = Place(tmp_path_factory.mktemp("given"))
    shutil.copytree(particles, place.folder / "data")
    truth = pd.read_csv(particles / "truth.csv")["state"].to_numpy()
    classes = NUMBERS[truth]
    classes[:10] = 0
    (place.folder / "classes.csv").write_text("\n".join(["class", *map(str, classes)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        config = draft_reconstruct(
            Path("data/particles.star"), "maps", Path("classes.csv"), None, "C1"
        )
    done = place.snakemake(config)
    assert done.returncode == 0, done.stdout
    return place


def test_classes_keep_their_numbers(given: Place, monkeypatch: pytest.MonkeyPatch):
    results = given.folder / "results/maps"
    monkeypatch.chdir(given.folder)
    assert {path.name for path in results.iterdir()} == {
        "campaign.json", "figures", "reconstruct", "report.html", "verdict.json"
    }  # fmt: skip
    classes = pd.read_csv(given.folder / "classes.csv")["class"].to_numpy()
    sizes = pd.read_csv(results / "reconstruct/classes.tsv", sep="\t")
    assert sizes["size"].tolist() == np.bincount(classes, minlength=8)[1:].tolist()
    maps = sorted(path.name for path in (results / "reconstruct").glob("class_???.mrc"))
    assert maps == ["class_001.mrc", "class_002.mrc", "class_005.mrc", "class_007.mrc"]
    assert (read_labels(results / "reconstruct/particles.star")[1] == classes - 1).all()
    assert not list(results.rglob("images*.npy"))


def test_each_map_is_that_of_its_state_at_full_box(given: Place):
    folder = given.folder / "results/maps/reconstruct"
    truth = phantom(4, 48, seed=1)
    inside = truth.max(0) > 0.1 * truth.max()
    for state, number in enumerate(NUMBERS[:3].tolist()):  # of the last there are 30 particles
        volume, voxel_size = read_volume(folder / f"class_{number:03d}.mrc")
        assert volume.shape == (48, 48, 48) and voxel_size == pytest.approx(6.0)
        alike = [np.corrcoef(volume[inside], one[inside])[0, 1] for one in truth]
        assert int(np.argmax(alike)) == state, alike
        halves = [read_volume(folder / f"class_{number:03d}_half{h}.mrc")[0] for h in (1, 2)]
        assert not np.array_equal(halves[0], halves[1])
        fsc = read_tsv(folder / f"class_{number:03d}_fsc.tsv")
        assert fsc["fsc"].iloc[0] > 0.9 and fsc["resolution"].iloc[-1] < 13


def test_the_page_says_which_are_empty(given: Place):
    results = given.folder / "results/maps"
    verdict = json.loads((results / "verdict.json").read_text())
    assert verdict["headline"].startswith("4 classes at ")
    assert "Classes 3, 4, 6 are empty." in verdict["found"]
    assert "10 particles of 300 have no class." in verdict["found"]
    page = (results / "report.html").read_text()
    assert 'id="class-7"' in page and 'id="class-3"' not in page


def test_a_class_file_of_other_particles_is_told_before_anything_is_computed(given: Place):
    (given.folder / "few.csv").write_text("class\n1\n2\n")
    config = {
        "job": "reconstruct",
        "campaign": "other",
        "particles": "data/particles.star",
        "filter_resolution": 24,
        "reconstruct": {"classes": "few.csv"},
    }
    done = given.snakemake(config)
    assert done.returncode != 0
    assert "few.csv: found 2 rows of classes alone, expected 300 as in" in done.stdout
