"""A subspace campaign that starts from maps of states, from the configuration to the consensus."""

import json

import numpy as np
import pandas as pd
import pytest

from emjax.io.mrc.volume import write_volume
from tests.campaigns import Place, tiny_config

pytestmark = pytest.mark.slow

SUBSPACE = {
    "n_classes": [2],
    "seeds": 6,
    "n_components": 3,
    "iterations": 3,
    "evidence_seeds": 3,
    "regions": False,
    "within_classes": False,
    "polish_iterations": 1,
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, particles) -> Place:
    """A campaign of subspace runs alone that has come to its consensus."""
    place = Place(tmp_path_factory.mktemp("subspace"))
    (place.folder / "data").symlink_to(particles)
    maps = np.random.default_rng(0).random((2, 48, 48, 48)).astype(np.float32)
    names = ["one.mrc", "two.mrc"]
    for name, volume in zip(names, maps, strict=True):
        write_volume(place.folder / name, volume, 6.0)
    config = tiny_config(runs={"subspace": SUBSPACE | {"states": names}})
    done = place.snakemake(config, "--until", "build_consensus")
    assert done.returncode == 0, done.stdout
    return place


def test_its_files_are_there(campaign: Place):
    folder = campaign.folder / "results/tiny/runs"
    likelihood = pd.read_csv(folder / "subspace/likelihood.tsv", sep="\t")
    assert list(likelihood["seed"]) == list(range(6))
    assert np.load(folder / "subspace/labels.npy").shape == (300, 1)
    seeds = np.load(folder / "subspace/seeds.npy")
    assert seeds.shape == (6, 2, 2)  # coordinate and weight of two classes
    np.testing.assert_allclose(seeds[..., -1].sum(1), 1, atol=1e-5)
    assert (folder / "sub-K02-s000/class_002.mrc").exists()
    # Maps of two states have one difference, so the basis has one component.
    assert len(np.load(folder / "subspace/basis.npy")) == 2


def test_the_consensus_keeps_to_what_unseen_particles_allow(campaign: Place):
    folder = campaign.folder / "results/tiny"
    evidence = json.loads((folder / "runs/subspace/evidence.json").read_text())
    elbows = json.loads((folder / "consensus/elbows.json").read_text())
    assert elbows["recommended"] <= evidence["discrete_classes"]
    classes = pd.read_csv(folder / "consensus/stability.tsv", sep="\t")
    assert set(classes["distinct_by"]) <= {"images", "nothing"}
    # A component's moment and power, of each particle.
    held_out, own = (np.load(folder / f"runs/subspace/{n}.npy") for n in ("held_out", "statistics"))
    assert held_out.shape == own.shape == (len(own), 2)
    assert evidence["verdict"] in (folder / "../../logs/tiny/fit_subspace.log").read_text()
    assert "np." not in (folder / "../../logs/tiny/fit_subspace.log").read_text()
