"""The options of em3d in a campaign: read from the configuration, seen in the files of the runs."""

import dataclasses
import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from emjax.campaign.settings import complete, load_schema
from emjax.classify.em3d.options import Em3dOptions
from emjax.imaging.grids import resample
from emjax.io.files import read_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.simulate.demo import BOX, PIXEL
from emjax.simulate.particles import phantom
from tests.campaigns import Place, tiny_config

RUN = "results/tiny/runs/em3d-K02-s000"


def test_every_option_is_in_the_configuration_and_means_the_same():
    """`symmetry` stands at the top, because all maps share it."""
    schema = load_schema()["properties"]
    em3d = schema["runs"]["properties"]["em3d"]["properties"]
    fields = {f.name: f.default for f in dataclasses.fields(Em3dOptions)}
    known = set(em3d) - {
        "n_classes",
        "seeds",
        "initial_maps",
        "initial_components",
        "evidence_seeds",
    }
    assert known == set(fields) - {"symmetry"}
    assert all(em3d[name]["default"] == fields[name] for name in known)
    assert schema["symmetry"]["default"] == fields["symmetry"]
    config = complete(tiny_config())["runs"]["em3d"] | {"online_epochs": 2, "full_iterations": 25}
    assert Em3dOptions(**{name: config[name] for name in known}) == Em3dOptions()


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """A campaign with everything that em3d can be asked for.

    Fourfold maps, a focus mask that reaches into the solvent, more classes than can be filled,
    maps of each iteration, images in half precision.
    """
    place = Place(tmp_path_factory.mktemp("em3d"))
    (place.folder / "data").symlink_to(particles)
    focus = np.zeros((48,) * 3, np.float32)
    focus[24:] = 1
    with mrcfile.new(place.folder / "focus.mrc", focus) as mrc:
        mrc.voxel_size = 6.0
    options = {"online_epochs": 1, "full_iterations": 2, "write_each_iteration": True}
    config = tiny_config(
        symmetry="C4",
        image_precision="float16",
        masks={"focus": "focus.mrc"},
        runs={"em3d": {"n_classes": [2, 31], "seeds": 1} | options},
    )
    done = place.snakemake(config, "--until", "classify_em3d_s000")
    assert done.returncode == 0, done.stdout
    return place


@pytest.mark.slow
def test_warnings_are_named_in_the_records(campaign: Place):
    few, many = (
        json.loads((campaign.folder / f"results/tiny/runs/em3d-K{k}-s000/metrics.json").read_text())
        for k in ("02", "31")
    )
    assert any("masks.focus: " in w and "outside the solvent" in w for w in few["warnings"])
    assert not any("n_classes" in w for w in few["warnings"])
    assert any("n_classes: 31 classes are more than 300" in w for w in many["warnings"])
    assert any(" is dead: " in w for w in many["warnings"])
    log = (campaign.folder / "logs/tiny/classify_em3d_s000.log").read_text()
    assert all(warning in log for warning in few["warnings"] + many["warnings"])


@pytest.mark.slow
def test_records_hold_the_diagnostics(campaign: Place):
    metrics = json.loads((campaign.folder / RUN / "metrics.json").read_text())
    labels = read_labels(campaign.folder / RUN / "particles.star")[1]
    posteriors = np.load(campaign.folder / RUN / "posteriors.npy")
    assert metrics["class_sizes"] == np.bincount(labels, minlength=2).tolist()
    np.testing.assert_allclose(metrics["class_mass"], posteriors.sum(0), rtol=1e-5)
    assert sum(metrics["ess_histogram"]) == 300
    assert len(metrics["resolution"]) == len(metrics["difference_from_mean"]) == 2
    flows = [np.array(record["flow"]) for record in metrics["history"] if "flow" in record]
    assert len(flows) == 5  # from the second of six iterations over all particles on
    before, after = (np.array(record["class_sizes"]) for record in metrics["history"][-2:])
    np.testing.assert_array_equal(flows[-1].sum(1), before)
    np.testing.assert_array_equal(flows[-1].sum(0), after)
    per_iteration = {"log_likelihood", "switched", "rms_change", "class_sizes", "class_mass", "fsc"}
    assert all(per_iteration <= set(record) for record in metrics["history"])
    assert metrics["options"]["symmetry"] == "C4"
    starts = sorted((campaign.folder / RUN).glob("initial_*.mrc"))
    assert [path.name for path in starts] == ["initial_001.mrc", "initial_002.mrc"]
    maps = np.stack([read_volume(path)[0] for path in starts])
    assert len(metrics["initial_differences"]) == 2 and metrics["initial_numbers"] == [1, 2]
    # Two maps are equally far from their mean.
    np.testing.assert_allclose(metrics["initial_differences"], metrics["initial_difference"])
    assert metrics["initial_difference"] > 0 and np.abs(maps[0] - maps[1]).max() > 0
    log = (campaign.folder / "logs/tiny/classify_em3d_s000.log").read_text()
    assert (
        f"{RUN.split('/')[-1]}: initial maps differ by {metrics['initial_difference']:.2%}" in log
    )
    images = np.load(campaign.folder / "results/tiny/prepare/images.npy", mmap_mode="r")
    assert images.dtype == np.float16 and images.shape[0] == 300 and images.shape[2] == 2


@pytest.mark.slow
def test_each_iteration_over_all_particles_is_written(campaign: Place):
    metrics = json.loads((campaign.folder / RUN / "metrics.json").read_text())
    full = [h for h in metrics["history"] if h["stage"] != "online"]
    assert [h["stage"] for h in full] == ["coarse", "coarse", "full", "full", "last", "last"]
    folder = campaign.folder / RUN / "iterations"
    files = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    starts = [f"iteration_{h['iteration']:03d}" for h in full]
    ends = ("_classes.tsv", "_class_001.mrc", "_class_002.mrc")
    assert files == {f"{s}{end}" for s in starts for end in ends} | {"metrics.tsv"}
    table = read_tsv(folder / "metrics.tsv")
    for record, row in zip(metrics["history"], table.to_dict("records"), strict=True):
        assert [row["class_001"], row["class_002"]] == record["class_sizes"]
    for start, record in zip(starts, full, strict=True):
        labels = read_labels(folder / f"{start}_classes.tsv")[1]
        assert np.bincount(labels, minlength=2).tolist() == record["class_sizes"]
    assert not list((campaign.folder / "checkpoints").rglob("*.mrc"))


@pytest.mark.slow
def test_maps_have_the_point_group_and_the_mean_outside_the_focus(campaign: Place):
    folder = campaign.folder / "results/tiny/prepare"
    mean, mask = (read_volume(folder / f"{m}.mrc")[0] for m in ("mean_map", "solvent_mask"))
    focus = read_volume(campaign.folder / RUN / "focus_mask.mrc")[0]
    for k in (1, 2):
        volume = read_volume(campaign.folder / RUN / f"class_{k:03d}.mrc")[0]
        for one in (volume, mean):
            inner = one[1:, 1:, 1:]
            # Quarter turns about z permute voxels; what is left is single precision.
            turned = np.rot90(inner, axes=(1, 2))
            np.testing.assert_allclose(turned, inner, atol=1e-4 * np.abs(inner).max())
        outside = focus < 1e-3
        np.testing.assert_allclose(
            volume[outside], (mask * mean)[outside], atol=1e-2 * np.abs(mean).max()
        )
        assert np.abs(volume - mask * mean)[focus > 0.99].max() > 0.05 * mean.max()


@pytest.mark.slow
def test_starts_from_elsewhere_serve_any_number_of_classes(tmp_path: Path, particles: Path):
    """Four maps, and two components, for two and three classes."""
    place = Place(tmp_path)
    (tmp_path / "data").symlink_to(particles)
    truth = phantom(4, BOX, seed=1)
    for number, volume in enumerate(truth):
        write_volume(tmp_path / f"state{number}.mrc", volume, PIXEL)
        write_volume(tmp_path / f"component{number}.mrc", volume - truth[0], PIXEL)
    common = tiny_config()["runs"]["em3d"] | {"n_classes": [2, 3], "seeds": 1}
    files = ["component1.mrc", "component2.mrc"]
    starts = {
        "tiny": {"initial": "input", "initial_maps": [f"state{k}.mrc" for k in range(4)]},
        "ends": {"initial": "components", "initial_components": files},
    }
    for campaign, start in starts.items():
        config = tiny_config(campaign=campaign, runs={"em3d": common | start})
        done = place.snakemake(config, "--until", "classify_em3d_s000")
        assert done.returncode == 0, done.stdout
        for k in (2, 3):
            run = tmp_path / f"results/{campaign}/runs/em3d-K0{k}-s000"
            assert len(list(run.glob("initial_*.mrc"))) == k
            assert len(np.unique(read_labels(run / "particles.star")[1])) == k
    one, other = (
        read_volume(tmp_path / f"results/ends/runs/em3d-K02-s000/initial_00{k}.mrc")[0]
        for k in (1, 2)
    )
    box = len(one)
    wanted = [resample(truth[k] - truth[0], box) for k in (1, 2)]
    gap = one - other
    # The first class starts along the first component, the second along the second.
    both = np.corrcoef(np.stack([gap, *wanted]).reshape(3, -1))[0]
    assert both[1] > 0.3 and both[2] < -0.3
