"""Inputs as people met them: each has the right answer, a warning, or one clear last line.

What deceives a reader is built and checked in `test_check_input`, what deceives a map in
`test_deceiving_images`, a focus mask in `jobs/test_focus`, joins in `io/labels`, half-sets
in `io/particles/test_overlaps`, one state in overlapping images in `classify/test_overlapping`.
Here the development cases are checked where they are there, and two small campaigns run.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import make_table, read_star, write_star
from emjax.simulate.demo import BOX, FRACTIONS, PIXEL
from emjax.simulate.particles import phantom
from tests.campaigns import Place, tiny_config


@dataclass(frozen=True)
class Case:
    """A folder of the cases, and what `emjax check`, or a run up to a rule, says of it."""

    folder: str
    code: int
    says: str
    until: str = ""


FINE = "no error in it or in its input"
CASES = [
    Case("norm_outliers/times_30", 0, "6 of 300 images left out", "prepare_particles"),
    Case("norm_outliers/hot_pixel", 0, "6 of 300 images left out", "prepare_particles"),
    Case("phase_flipped/as_they_are", 0, "mean map at 14.2 Å or better", "prepare_particles"),
    Case("phase_flipped/flipped", 0, "look phase-flipped, not as recorded", "prepare_particles"),
    Case("aberrations/star", 0, "aberrations (beam tilt, trefoil) of", "prepare_particles"),
    Case("mirrored", 0, FINE),
    Case("symmetry_expanded", 0, FINE),
    Case("filaments", 0, FINE),
    Case("class2d_poses", 1, "Class2D/job010: poses: found 95% or more of 300 particles seen from"),
    Case("masks_and_starts/inverted_mask", 1, "mask.mrc: mean: found 1.00 beyond the sphere"),
    Case("masks_and_starts/mask_of_other_voxels", 0, "mask.mrc: voxels of 1 Å by its header"),
    Case("masks_and_starts/starts", 0, FINE),
    Case("masks_and_starts/starts_inverted", 1, "invert the map", "classify_em3d_s000"),
    Case("no_way_out/header_pixel_size", 0, "pixel size 6 Å, but 3 Å in the header of"),
    Case("no_way_out/blank_images", 0, "3 of 300 images left out: 000006@", "prepare_particles"),
    Case("no_way_out/aligned_in_2d", 0, FINE),
    Case("no_way_out/no_ctf", 0, FINE),
    Case("no_way_out/input_scale", 1, "scale: input: found no scales of the images, expected _rln"),
]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """The development cases, built anew."""
    program = shared_data / "cases" / "make_cases.py"
    if not program.exists():
        pytest.skip("development cases not found: shared/cases beside the repository")
    folder = tmp_path_factory.mktemp("cases")
    names = sorted({case.folder.split("/")[0] for case in CASES})
    subprocess.run([sys.executable, str(program), str(folder), *names], check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.folder for case in CASES])
def test_a_development_case_has_an_answer(cases: Path, case: Case):
    how = ["run", "my.yaml", "--until", case.until] if case.until else ["check", "my.yaml"]
    command = [sys.executable, "-m", "emjax", *how]
    done = subprocess.run(command, cwd=cases / case.folder, capture_output=True, text=True)
    assert done.returncode == case.code, done.stderr
    assert case.says in done.stdout + done.stderr
    if not case.until:
        assert len(done.stderr.splitlines()) == case.code
    elif case.code:
        assert case.says in done.stderr.splitlines()[-1]


def run(place: Place, config: dict, **environment: str) -> str:
    done = place.snakemake(config, environment=environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_doubts_of_the_input_stand_on_the_reports_first_page(place: Place):
    """A header of 3 Å for particles of 6 Å, a mask of a part of the particle, a focus at a face."""
    stack = place.folder / "data/particles.mrcs"
    with mrcfile.open(stack, "r+", permissive=True) as mrc:
        mrc.voxel_size = 3.0
    mask = np.zeros((48, 48, 48), np.float32)
    mask[8:21, 8:40, 8:40] = 1
    with mrcfile.new(place.folder / "mask.mrc", mask) as mrc:
        mrc.voxel_size = 6.0
    focus = np.zeros_like(mask)
    focus[8:30, 8:48, 8:40] = 1
    with mrcfile.new(place.folder / "focus.mrc", focus) as mrc:
        mrc.voxel_size = 1.0
    masks = {"solvent": "mask.mrc", "focus": "focus.mrc"}
    run(place, tiny_config(masks=masks, export=[]))
    page = (place.folder / "results/tiny/report.html").read_text()
    first = page[: page.index('role="tablist"')] if 'role="tablist"' in page else page
    assert "pixel size 6 Å, but 3 Å in the header of" in first
    assert "of the mean map&#39;s density only" in first
    assert "focus.mrc: voxels of 1 Å by its header" in first
    assert "focus.mrc: 5% of the box&#39;s faces are inside the mask" in first
    # A new focus mask is checked anew, and prepares nothing again.
    with mrcfile.new(place.folder / "other.mrc", mask) as mrc:
        mrc.voxel_size = 6.0
    jobs = place.jobs(tiny_config(masks=masks | {"focus": "other.mrc"}, export=[]))
    assert {"check_focus", "classify_em3d_s000"} <= jobs
    assert not {"check_input", "prepare_particles"} & jobs


@pytest.mark.slow
def test_copies_in_another_order_are_joined_and_share_a_half_set(place: Place):
    """External runs of a symmetry-expanded set, their rows in another order each."""
    star = place.folder / "data/particles.star"
    particles = read_particles(star)
    write_particles(star, particles)  # stacks by their absolute names
    source = read_star(star)
    table, n = source["particles"], particles.n
    columns = {name: np.repeat(table.text(name), 2) for name in table.labels}
    rot = table.numbers("rlnAngleRot")
    columns["rlnAngleRot"] = np.stack([rot, rot + 180], 1).ravel().round(6)
    write_star(star, source.with_table(make_table("particles", columns)))
    labels = np.random.default_rng(0).integers(1, 3, 2 * n)
    external = []
    for name, order in (
        ("a", np.arange(2 * n)),
        ("b", np.random.default_rng(1).permutation(2 * n)),
    ):
        rows = {k: np.asarray(v)[order] for k, v in (columns | {"rlnClassNumber": labels}).items()}
        write_star(place.folder / f"{name}.star", source.with_table(make_table("particles", rows)))
        external.append({"name": name, "path": f"{name}.star"})
    run(place, tiny_config(runs={"external": external}, export=[]))
    results = place.folder / "results/tiny"
    for name in ("a", "b"):
        found = read_labels(results / f"runs/ext-{name}/particles.star")[1]
        np.testing.assert_array_equal(found, labels - 1)
    half = read_star(results / "prepare/particles.star")["particles"].integers("rlnRandomSubset")
    np.testing.assert_array_equal(half[::2], half[1::2])
    assert set(half.tolist()) == {1, 2}


SHIM = {"flock": "38", "mmap": "19", "fsync": "22"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHIM)
def test_a_campaign_runs_on_a_file_system_that_lacks_something(
    place: Place, shared_data: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
):
    """Without flock, shared maps or fsync of folders."""
    source = shared_data / "cases" / "shim.c"
    if not source.exists():
        pytest.skip("development cases not found: shared/cases beside the repository")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    command = ["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    if subprocess.run(command).returncode:
        pytest.skip("no C compiler")
    shim = {"SHIM_ROOT": str(place.folder), f"SHIM_{kind.upper()}": SHIM[kind]}
    em3d = tiny_config()["runs"]["em3d"] | {"evidence_seeds": 0}
    config = tiny_config(runs={"em3d": em3d}, export=[])
    said = run(place, config, LD_PRELOAD=str(library), **shim)
    assert ("the file system has no locks" in said) == (kind == "flock")
    assert ("no shared memory maps" in said) == (kind == "mmap")
    verdict = json.loads((place.folder / "results/tiny/verdict.json").read_text())
    assert verdict["headline"] and (place.folder / "results/tiny/report.html").exists()
    assert not (place.folder / ".snakemake/campaign-tiny.holder").exists()


def without_columns(path: Path, *names: str) -> None:
    source = read_star(path)
    table = source["particles"]
    kept = {label: table.text(label) for label in table.labels if not label.startswith(names)}
    write_star(path, source.with_table(make_table("particles", kept)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "ctf"),
    [(("rlnAngleRot", "rlnAngleTilt"), "phase_flip"), (("rlnAngle", "rlnDefocus"), "none")],
    ids=["aligned in 2D", "without CTF"],
)
def test_images_make_a_map_without_poses_in_3d_and_without_ctf(place: Place, missing, ctf):
    without_columns(place.folder / "data/particles.star", *missing)
    som = {"map": [2, 2], "seeds": 1, "ctf": ctf}
    run(place, tiny_config(runs={"som": som}, export=[]))
    labels = read_labels(place.folder / "results/tiny/runs/som-2x2-s000/particles.star")[1]
    assert (labels >= 0).all() and len(set(labels.tolist())) == 4


@pytest.mark.slow
def test_start_maps_of_another_scale_are_fitted_and_inverted_ones_refused(place: Place):
    truth = phantom(len(FRACTIONS), BOX, seed=1)[:2]
    start = {"initial": "input", "initial_maps": ["m0.mrc", "m1.mrc"], "evidence_seeds": 0}
    em3d = tiny_config()["runs"]["em3d"] | {"seeds": 1} | start
    found = {}
    for factor in (1.0, 250.0, -1.0):
        for number, volume in enumerate(truth):
            write_volume(place.folder / f"m{number}.mrc", factor * volume, PIXEL)
        done = place.snakemake(tiny_config(runs={"em3d": em3d}), "--until", "classify_em3d_s000")
        if factor < 0:
            assert done.returncode == 1
            last = done.stdout.splitlines()[-1]
            assert "tiny.yaml: runs.em3d.initial_maps: found m0.mrc, whose correlation with" in last
            assert "invert the map" in last
        else:
            assert done.returncode == 0, done.stdout
            run_file = place.folder / "results/tiny/runs/em3d-K02-s000/particles.star"
            found[factor] = read_labels(run_file)[1]
    assert np.mean(found[1.0] == found[250.0]) > 0.99
