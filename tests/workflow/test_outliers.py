"""A campaign with images that hold no particle, and with particles at wrong poses."""

import shutil

import numpy as np
import pandas as pd
import pytest

from emjax.io.files import read_json
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import write_stack
from emjax.io.particles.columns import set_aside
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.poses import matrix_to_euler
from emjax.simulate.demo import simulate_demo
from emjax.simulate.particles import coloured_noise
from tests.campaigns import Place, tiny_config

pytestmark = pytest.mark.slow

N, JUNK_ROWS, LOST_ROWS = 600, np.arange(0, 40), np.arange(40, 70)
EM3D = {"n_classes": [2], "seeds": 2, "evidence_seeds": 0, "full_iterations": 5}
CONFIG = tiny_config(
    filter_resolution=18,
    outliers={"poses": "set_aside"},
    runs={
        "em3d": EM3D,
        "external": [{"name": "other", "path": "data/other.star"}],
    },
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A campaign that has come to its consensus; another program has classes for all."""
    folder = tmp_path_factory.mktemp("outliers")
    star = simulate_demo(folder / "data", N)
    table = read_particles(star)
    images = ImageStacks(table).read(np.arange(N))
    images[JUNK_ROWS] = coloured_noise(len(JUNK_ROWS), images.shape[-1], np.random.default_rng(0))
    write_stack(folder / "data/particles.mrcs", images, 6.0)
    rotations = table.rotations.copy()
    rotations[LOST_ROWS] = rotations[LOST_ROWS] @ np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    angles = dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), matrix_to_euler(rotations).T))
    write_particles(folder / "data/particles.star", table, angles)
    classes = {"rlnClassNumber": np.arange(N) % 2 + 1}
    write_particles(folder / "data/other.star", table, classes)
    made = Place(folder)
    done = made.snakemake(CONFIG, "--until", "build_consensus")
    assert done.returncode == 0, done.stdout
    return made


def results(place: Place, name: str):
    """A file of the campaign."""
    return place.folder / "results/tiny" / name


def reasons(place: Place, name: str) -> np.ndarray:
    """Why each particle is set aside, in one of its particle files."""
    return set_aside(read_particles(results(place, name)).source)  # type: ignore[arg-type]


def test_junk_and_lost_particles_are_named(place: Place):
    for name in ("prepare/particles.star", "consensus/particles.star"):
        found = reasons(place, name)
        assert np.mean(found[JUNK_ROWS] == "junk") > 0.9, name
        assert np.mean(np.isin(found[LOST_ROWS], ["pose", "junk"])) > 0.9, name
        assert np.mean(np.isin(found[70:], ["junk", "pose"])) < 0.02, name
    fits = pd.read_csv(results(place, "outliers/fits.tsv"), sep="\t")
    before, after = reasons(place, "prepare/particles.star"), fits["set_aside"].to_numpy(str)
    np.testing.assert_array_equal(after[before != "none"], before[before != "none"])
    log = (place.folder / "logs/tiny/prepare_particles.log").read_text()
    assert "particles fit no map and are set aside" in log and "(junk)" in log


def test_they_have_no_class_in_any_run_and_none_in_the_consensus(place: Place):
    out = reasons(place, "prepare/particles.star") != "none"
    for run in ("em3d-K02-s000", "em3d-K02-s001"):
        table = read_particles(results(place, f"runs/{run}/particles.star"))
        number = table.source.particles.numbers("rlnClassNumber")  # type: ignore[union-attr]
        np.testing.assert_array_equal(number == 0, out)
        posteriors = np.load(results(place, f"runs/{run}/posteriors.npy"))
        assert (posteriors[out] == 0).all()
        np.testing.assert_allclose(posteriors[~out].sum(1), 1, atol=1e-4)
        assert (
            sum(read_json(results(place, f"runs/{run}/metrics.json"))["class_sizes"])
            == (~out).sum()
        )
    final = reasons(place, "consensus/particles.star")
    source = read_particles(results(place, "consensus/particles.star")).source
    number = source.particles.numbers("rlnClassNumber")  # type: ignore[union-attr]
    assert (number[final != "none"] == 0).all()
    assert (number[final == "none"] > 0).all()


def test_classes_of_another_program_count_for_none_of_them(place: Place):
    """It has a class for every image; the groups of the consensus hold none of those set aside."""
    other = read_particles(results(place, "runs/ext-other/particles.star"))
    number = other.source.particles.numbers("rlnClassNumber")  # type: ignore[union-attr]
    assert (number > 0).all()
    fits = pd.read_csv(results(place, "outliers/fits.tsv"), sep="\t")["set_aside"].to_numpy(str)
    source = read_particles(results(place, "consensus/particles.star")).source
    group = source.particles.numbers("emjaxIntersection")  # type: ignore[union-attr]
    assert (group[fits != "none"] == 0).all()
    groups = pd.read_csv(results(place, "consensus/intersections.tsv"), sep="\t")
    assert groups["size"].sum() <= (fits == "none").sum()


def test_every_particle_and_column_of_the_input_is_still_there(place: Place):
    before = read_particles(place.folder / "data/particles.star")
    after = read_particles(results(place, "consensus/particles.star"))
    np.testing.assert_array_equal(after.identity, before.identity)
    np.testing.assert_allclose(after.rotations, before.rotations, atol=1e-6)


def test_an_outlier_option_prepares_again(place: Place):
    for options in ({"junk": "off", "poses": "set_aside"}, {}):
        assert "prepare_particles" in place.jobs(CONFIG | {"outliers": options})


def test_recovered_particles_have_classes(place: Place):
    copy = Place(place.folder / "again")
    shutil.copytree(place.folder / "data", copy.folder / "data")
    config = CONFIG | {"outliers": {}}
    done = copy.snakemake(config, "--until", "classify_em3d_s000")
    assert done.returncode == 0, done.stdout
    found = reasons(copy, "prepare/particles.star")
    assert np.mean(found[LOST_ROWS] == "none") > 0.8
    assert np.mean(found[JUNK_ROWS] == "junk") > 0.9
    table = read_particles(results(copy, "runs/em3d-K02-s000/particles.star"))
    number = table.source.particles.numbers("rlnClassNumber")  # type: ignore[union-attr]
    np.testing.assert_array_equal(number > 0, found == "none")
    source = read_particles(results(copy, "prepare/particles.star")).source
    assert "emjaxRefinedAngleRot" in source.particles.labels  # type: ignore[union-attr]


def test_switched_off_nothing_is_set_aside(place: Place):
    copy = Place(place.folder / "off")
    shutil.copytree(place.folder / "data", copy.folder / "data")
    done = copy.snakemake(CONFIG | {"outliers": {"junk": False}}, "--until", "prepare_particles")
    assert done.returncode == 0, done.stdout
    assert (reasons(copy, "prepare/particles.star") == "none").all()
