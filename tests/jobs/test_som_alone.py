"""Maps of images aligned in 2D: of psi and origins, alignments2D, and a stack without any angle."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile
from scipy.stats import spearmanr

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.input import input_particles
from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs
from emjax.io.mrc.header import read_header
from emjax.io.mrc.references import read_references
from emjax.io.particles.particle_set import read_particles
from tests.aligned_2d import PIXEL, write_images
from tests.som_jobs import labels_of, make_som_job, som_config

N, BOX = 240, 32
FORMS = {
    "psi": ("data/particles.star", {}),
    "stack": ("data/aligned.mrcs", {"aligned": True}),
    "cs": ("data/particles.cs", {"ctf": "phase_flip"}),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder with the images in every form, and the angle of their domain."""
    folder = tmp_path_factory.mktemp("som")
    return folder, write_images(folder / "data", N, BOX)


@pytest.fixture(scope="module")
def made(place: tuple[Path, np.ndarray]) -> dict[str, CampaignFolder]:
    """The map of each form of the same images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place[0])
        return {
            name: make_som_job(Path(), som_config(name, path, map=[5, 1], **options))
            for name, (path, options) in FORMS.items()
        }


@pytest.fixture
def inside(place: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place[0])
    return place[0]


def chosen(folder: CampaignFolder) -> str:
    return json.loads(folder.classes.summary.read_text())["chosen"]


@pytest.mark.parametrize("form", FORMS)
def test_the_map_sorts_by_the_moving_domain(inside, made, place, form: str):
    labels = labels_of(made[form], chosen(made[form]))
    # With noise at half the signal's power, and a map of one row.
    assert abs(spearmanr(labels, place[1])[0]) > 0.9


def test_a_stack_without_angles_gives_the_map_and_averages_of_that_with_angles(inside, made):
    found = {name: read_header(made[name].classes.averages).open() for name in FORMS}
    labels = {name: labels_of(made[name], chosen(made[name])) for name in FORMS}
    for name in ("stack", "cs"):
        mirrored = spearmanr(labels[name], labels["psi"])[0] < 0
        other = found[name][::-1] if mirrored else found[name]
        same = (len(found[name]) - 1 - labels[name] if mirrored else labels[name]) == labels["psi"]
        assert same.mean() > 0.8  # those between two nodes may fall to either side
        for a, b, size in zip(found["psi"], other, np.bincount(labels["psi"], minlength=5)):
            if size > 10:
                # Two interpolations differ, and a few particles.
                assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_averages_have_the_intensity_scale_of_the_images(inside, made):
    average = read_header(made["stack"].classes.averages).open()
    labels = labels_of(made["stack"], chosen(made["stack"]))
    images = read_header(inside / "data/aligned.mrcs").open()
    images = images - images.mean((1, 2), keepdims=True)
    k = int(np.bincount(labels).argmax())
    middle = slice(BOX // 4, 3 * BOX // 4)
    theirs = images[labels == k].mean(0)[middle, middle]
    ours = average[k][average.shape[1] // 4 : 3 * average.shape[1] // 4]
    ours = ours[:, average.shape[1] // 4 : 3 * average.shape[1] // 4]
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.1)
    np.testing.assert_allclose(ours.max(), theirs.max(), rtol=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_only_what_the_job_needs_is_made(inside, made, form: str):
    folder = made[form].path
    assert {path.name for path in folder.iterdir()} == {"prepare", "runs", "classes",
                                                        "campaign.json"}  # fmt: skip
    names = {path.stem for path in (folder / "prepare").iterdir()}
    assert names == {"prepare", "particles", "images", "noise", "bad_images"}


@pytest.mark.parametrize("form", FORMS)
def test_the_nodes_are_the_classes_of_a_2d_job(inside, made, form: str):
    classes = made[form].classes
    sizes = np.bincount(labels_of(made[form], chosen(made[form])), minlength=5)
    names = starfile.read(classes.optimiser)
    assert names["rlnModelStarFile"] == classes.model.as_posix()
    assert names["rlnExperimentalDataStarFile"] == classes.particles.star.as_posix()
    table = read_particles(classes.particles.star, require_poses=False, require_ctf=False)
    numbers = table.source.particles.integers("rlnClassNumber")  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.bincount(numbers - 1, minlength=5), sizes)
    for path in (classes.model, classes.templates):
        averages = read_references([path])
        assert averages.densities.shape[0] == 5
        np.testing.assert_allclose(averages.pixel_size, made_pixel(made[form]), rtol=1e-4)
    model = read_references([classes.model])
    np.testing.assert_allclose(model.fractions, sizes / N)
    records = read_cs(classes.templates)
    np.testing.assert_array_equal(records["blob/count"], sizes)


def made_pixel(folder: CampaignFolder) -> float:
    facts = json.loads(folder.prepare.facts.read_text())
    assert facts["pixel_size"] == PIXEL
    return facts["voxel_size"]


def test_cryosparc_particles_keep_their_fields_and_get_the_class(inside, made):
    before = read_cs(inside / "data/particles.cs")
    after = read_cs(made["cs"].classes.particles.all((".cs",))[0])
    for name in ("uid", "blob/path", "alignments2D/pose", "alignments2D/shift"):
        np.testing.assert_array_equal(after[name], before[name])
    labels = labels_of(made["cs"], chosen(made["cs"]))
    np.testing.assert_array_equal(after["alignments2D/class"], labels)
    assert np.all(after["alignments2D/class_posterior"] > 1 / 5 - 1e-6)


def test_seeds_are_compared(inside, made):
    folder = made["psi"].classes
    pairs, seeds = (pd.read_csv(path, sep="\t") for path in (folder.agreement, folder.seeds))
    assert len(pairs) == 1 and len(seeds) == 2
    assert pairs["distance_correlation"][0] > 0.9
    best = seeds.set_index("run")["quantisation_error"].idxmin()
    assert chosen(made["psi"]) == best


@pytest.mark.parametrize(
    ("particles", "options", "message"),
    [
        ("data/aligned.mrcs", {}, "a stack, which has no psi and origins, .*--aligned"),
        (
            "data/aligned.mrcs",
            {"aligned": True, "ctf": "phase_flip"},
            "a stack, which has no CTF, expected runs.som.ctf: none",
        ),
        ("data/bare.star", {}, "no psi and origins, or alignments2D, .*--aligned"),
        ("data/particles.star", {"ctf": "phase_flip"}, "no CTF columns"),
    ],
)
def test_images_that_nothing_aligns_are_refused(inside, particles, options, message: str):
    blocks = starfile.read(inside / "data/particles.star")
    blocks["particles"] = blocks["particles"][["rlnImageName", "rlnOpticsGroup"]]
    starfile.write(blocks, inside / "data/bare.star", overwrite=True)
    with pytest.raises(InputError, match=message):
        input_particles(som_config("wrong", particles, **options))
    if particles.endswith("bare.star"):
        table = input_particles(som_config("right", particles, aligned=True))
        np.testing.assert_array_equal(table.rotations, np.tile(np.eye(3), (N, 1, 1)))


def test_numbers_that_are_names_explain_nothing(inside, made):
    """The uid of a `.cs` file and numbers of groups have no mean."""
    explained = json.loads(made["cs"].run(chosen(made["cs"])).metrics.read_text())["explained"]
    assert "shift" in explained
    assert not any(name.endswith(("Uid", "Number", "OpticsGroup")) for name in explained)
