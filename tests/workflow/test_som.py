"""Maps of images as runs of a campaign, and given classes rebalanced alone."""

import json
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile

from emjax.classify.som.images import circular_mask
from emjax.io.labels.read import read_labels
from emjax.io.mrc.header import read_header
from emjax.io.mrc.references import read_references
from emjax.io.particles.particle_set import read_particles
from tests.workflow.conftest import Place

pytestmark = pytest.mark.slow

SOM = {
    "map": [4, 3],
    "seeds": 2,
    "initial_regularisation": 100,
    "final_regularisation": 20,
    "mask": "mask.mrc",
}
RUN = Path("results/maps/runs/som-4x3-s001")


def maps_config(**changes) -> dict:
    """A campaign of two maps."""
    return {
        "campaign": "maps",
        "particles": "data/particles.star",
        "filter_resolution": 24,
        "runs": {"som": SOM | changes},
    }


def alone(place: Place, **changes) -> dict:
    """Rebalancing of the second map's classes alone."""
    run = place.folder / RUN
    references = {"references": str(run / "class_averages.star")}
    return {
        "job": "rebalance",
        "campaign": "alone",
        "particles": str(run / "particles.star"),
        "rebalance": references | changes,
    }


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """A folder in which the campaign of maps has run to its end."""
    made = Place(tmp_path_factory.mktemp("mapped"))
    (made.folder / "data").symlink_to(particles)
    box_size = read_header(next(particles.glob("*.mrcs"))).shape[-1]
    with mrcfile.new(made.folder / "mask.mrc") as file:
        file.set_data(circular_mask(box_size, 0.3 * box_size, edge=3.0))
    done = made.snakemake(maps_config())
    assert done.returncode == 0, done.stdout
    return made


def test_a_map_writes_its_files(mapped: Place, monkeypatch: pytest.MonkeyPatch):
    run = mapped.folder / RUN
    monkeypatch.chdir(mapped.folder)
    table = read_particles(run / "particles.star", check_images=False)
    posteriors = np.load(run / "posteriors.npy")
    assert posteriors.shape == (table.n, 12)
    nodes = pd.read_csv(run / "nodes.tsv", sep="\t")
    labels = table.source.particles.integers("rlnClassNumber")  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.bincount(labels - 1, minlength=12), nodes["size"])
    # Any column of numbers has a mean over the nodes.
    origin = table.source.particles.numbers("rlnOriginXAngst")  # type: ignore[union-attr]
    found = np.nansum(nodes["mean_rlnOriginXAngst"] * nodes["size"]) / table.n
    np.testing.assert_allclose(found, origin.mean(), rtol=1e-3, atol=1e-3)
    for name in ("class_averages", "code_vectors"):
        found = read_references([run / f"{name}.star"])
        assert found.densities.shape[0] == 12
        empty = (nodes["size"] == 0).to_numpy()
        if name == "code_vectors":
            size = np.abs(found.densities).max(0)
            outside = circular_mask(len(size), 0.4 * len(size)) == 0  # of the soft mask
            assert size[outside].max() < 0.02 * size.max()
        else:
            np.testing.assert_array_equal(np.all(found.densities == 0, axis=(1, 2)), empty)
        # As RELION's display reads it: image names relative to where the campaign runs.
        star = starfile.read(run / f"{name}.star")
        assert (mapped.folder / star["rlnImageName"][0].split("@")[1]).exists()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["method"] == "som" and metrics["seed"] == 1
    assert 0 <= metrics["explained"]["defocus"] <= 1
    assert metrics["map"] == {"columns": 4, "rows": 3, "layout": "rect"}
    table = pd.read_csv(run / "convergence.tsv", sep="\t")
    assert list(table["step"].unique()) == [0, 1, 2, 3, 4]
    assert len(table) == metrics["iterations"]


def test_an_option_of_the_maps_reruns_only_what_follows(mapped: Place):
    assert "prepare_particles" not in mapped.jobs(maps_config(layout="hexa"))
    assert "classify_som_s000" in mapped.jobs(maps_config(layout="hexa"))


def test_a_map_larger_than_the_data_is_told(mapped: Place):
    done = mapped.snakemake(maps_config(map=[20, 20]))
    assert done.returncode != 0
    assert (
        "runs.som.map: found 20 x 20 = 400 nodes, expected at most one per particle" in done.stdout
    )


def test_given_classes_are_rebalanced_alone(mapped: Place):
    config = alone(mapped, factor=1.0, superclasses=3)
    done = mapped.snakemake(config)
    assert done.returncode == 0, done.stdout
    folder = mapped.folder / "results/alone/rebalance"
    table = pd.read_csv(folder / "superclasses.tsv", sep="\t")
    sizes = table.groupby("superclass")["kept"].sum()
    assert len(sizes) == 3 and sizes.nunique() == 1
    kept, excluded = (
        read_particles(folder / f"particles_{name}.star", check_images=False)
        for name in ("kept", "excluded")
    )
    before = read_particles(mapped.folder / RUN / "particles.star", check_images=False)
    assert sorted([*kept.identity, *excluded.identity]) == sorted(before.identity)


def test_picked_classes_are_kept_and_all_other_particles_set_aside(mapped: Place):
    done = mapped.snakemake(alone(mapped, keep=[2, 5], superclassify=False))
    assert done.returncode == 0, done.stdout
    folder = mapped.folder / "results/alone/rebalance"
    identity, labels, _ = read_labels(mapped.folder / RUN / "particles.star")
    picked = np.isin(labels + 1, [2, 5])
    for name, wanted in (("kept", picked), ("excluded", ~picked)):
        found = read_labels(folder / f"particles_{name}.star")[0]
        np.testing.assert_array_equal(found, identity[wanted])
    table = pd.read_csv(folder / "superclasses.tsv", sep="\t")
    assert set(table["class"][table["superclass"] > 0]) == {2, 5}
    assert json.loads((folder / "rebalance.json").read_text())["keep"] == [2, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": [2, 13]}, "rebalance.keep: found class 13, expected numbers of 1 to 12"),
        (
            {"superclassify": False, "superclasses": 3},
            "found 3, expected 12 .one per reference. or auto, because superclassify is off",
        ),
        ({"superclasses": 13}, "found 13, expected auto or 1 to 12"),
    ],
)
def test_wrong_numbers_of_superclasses_are_told(mapped: Place, changes: dict, message: str):
    done = mapped.snakemake(alone(mapped, **changes))
    assert done.returncode != 0
    assert pd.Series([done.stdout]).str.contains(message).all(), done.stdout


def test_averages_of_another_job_are_told(mapped: Place):
    config = alone(mapped)
    other = mapped.folder / "results/maps/runs/som-4x3-s000/class_averages.star"
    text = other.read_text().replace("0.", "0.0")
    (mapped.folder / "other.star").write_text(text)
    config["rebalance"]["references"] = "other.star"
    done = mapped.snakemake(config)
    assert done.returncode != 0 and "particles of the same job" in done.stdout
