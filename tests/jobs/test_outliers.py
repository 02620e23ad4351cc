"""Files of the search for outliers: options, who takes part, and reasons that stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import CampaignFolder
from emjax.classify.calibration import Calibration, Normal, Signal
from emjax.classify.classification import Classification
from emjax.classify.outliers import AUTO_RATE, JUNK, POSE, Outliers
from emjax.classify.pose_refinement import Refinement
from emjax.classify.pose_search import Poses
from emjax.imaging.prepare import PrepareOptions, prepare
from emjax.io.files import read_json, read_npy, read_tsv, write_json
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.columns import set_aside
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.io.star.tables import make_table
from emjax.jobs.consensus import read_runs
from emjax.jobs.outliers import maps_of_runs, read_reasons, write_outliers
from emjax.jobs.preparation import aligned_images, images_file, outlier_options, write_prepared
from emjax.jobs.prepared import poses_of, read_prepared
from emjax.jobs.run_files import RunContext, write_run

RESOLUTION = 24.0
JUNK_ROWS, POSE_ROWS, BAD_ROWS = [3, 50, 299], [7, 120], [10]
EXACT = Refinement(None, None)
LAW = Calibration(Normal(1.0, 1.0), Signal(9.0, 2.0), Normal(0.8, 1.0), 0.02, 5.0)


def outliers_of(reason: np.ndarray, recovered: np.ndarray | None = None) -> Outliers:
    """Outliers with these reasons."""
    n, rows = len(reason), np.flatnonzero(reason != "")
    poses = Poses(
        np.tile(np.eye(3), (len(rows), 1, 1)), np.zeros((len(rows), 2)), np.ones(len(rows))
    )
    return Outliers(
        np.linspace(-1, 60, n),
        np.where(reason == "", 1.0, 0.0),
        reason,
        LAW,
        rows,
        poses,
        reason[rows] == POSE,
        np.zeros(0, int) if recovered is None else recovered,
        True,
        np.arange(n) % 2,
    )


@pytest.fixture(scope="module", name="table")
def particle_table(particles: Path) -> ParticleSet:
    """300 particles of 48 pixels."""
    return read_particles(particles / "particles.star")


def written(folder: Path, table: ParticleSet, recovered: bool = False) -> CampaignFolder:
    """A campaign's folder with the preparation of the particles, some of them set aside."""
    campaign = CampaignFolder(folder)
    prepared = campaign.prepare
    prepared.path.mkdir(parents=True)
    with images_file(prepared, table, RESOLUTION, "float32") as images:
        found = prepare(aligned_images(table), PrepareOptions(RESOLUTION), out=images)
        moved = np.array(POSE_ROWS)
        reason = np.full(table.n, "", "U4")
        reason[JUNK_ROWS], reason[POSE_ROWS] = JUNK, "" if recovered else POSE
        if recovered:
            rotations, shifts = found.particles.rotations.copy(), found.shifts.copy()
            rotations[moved], shifts[moved] = np.eye(3), [12.0, -6.0]
            found = replace(
                found, particles=replace(found.particles, rotations=rotations), shifts=shifts
            )
        bad = replace(
            found.bad_images,
            rows=np.array(BAD_ROWS),
            reasons=("not finite",),
            values=np.array([1.0]),
            limits=np.array([0.0]),
        )
        found = replace(found, bad_images=bad)
        outliers = outliers_of(reason, moved if recovered else None)
        write_prepared(prepared, found, outliers, EXACT, table, (".star",), [])
    grid = found.particles
    facts = PreparedFacts(
        table.n, table.box_size, table.pixel_size, RESOLUTION, grid.radius, grid.box_size,
        grid.voxel_size, 0, 1, "particles.star", "0" * 64, "0",
    )  # fmt: skip
    facts.write(prepared.facts)
    return campaign


@pytest.fixture(scope="module", name="campaign")
def prepared_campaign(table, tmp_path_factory) -> CampaignFolder:
    """A prepared campaign."""
    return written(tmp_path_factory.mktemp("outliers") / "one", table)


@pytest.mark.parametrize(
    ("junk", "rate"), [("auto", AUTO_RATE), ("off", 0.0), (False, 0.0), (0.02, 0.02), (0.5, 0.5)]
)
def test_the_configuration_names_a_rate(junk, rate, table):
    options = outlier_options({"junk": junk, "poses": "recover"}, table)
    assert options.rate == rate and options.poses == "recover"


def test_images_aligned_in_2d_have_no_map_to_fit(table):
    source = table.source
    labels = [name for name in source.particles.labels if name != "rlnAngleTilt"]
    columns = {name: source.particles.text(name) for name in labels}
    flat = replace(table, source=source.with_particles(make_table("particles", columns)))
    assert outlier_options({"junk": "auto", "poses": "recover"}, flat).rate == 0


def test_the_reason_stands_with_every_particle(campaign, table):
    source = read_particles(campaign.prepare.particles.star).source
    reasons = set_aside(source)  # type: ignore[arg-type]
    expected = np.full(table.n, "none", "U5")
    expected[JUNK_ROWS], expected[POSE_ROWS], expected[BAD_ROWS] = "junk", "pose", "image"
    np.testing.assert_array_equal(reasons, expected)
    fit = source.particles.numbers("emjaxFit")  # type: ignore[union-attr]
    np.testing.assert_allclose(fit, np.linspace(-1, 60, table.n), atol=1e-3)
    assert read_json(campaign.prepare.outliers)["set_aside"] == {"junk": 3, "pose": 2}


def test_those_set_aside_take_no_part(campaign, table):
    prepared = read_prepared(campaign.prepare)
    rows = np.setdiff1d(np.arange(table.n), [*JUNK_ROWS, *POSE_ROWS, *BAD_ROWS])
    np.testing.assert_array_equal(prepared.rows, rows)
    assert prepared.particles.n == prepared.table.n == len(rows)
    assert (prepared.particles.weight == 1).all()
    np.testing.assert_array_equal(prepared.table.identity, table.identity[rows])
    everyone = read_prepared(campaign.prepare, everyone=True)
    assert everyone.particles.n == everyone.everyone.n == table.n
    np.testing.assert_array_equal(np.flatnonzero(everyone.particles.weight == 1), rows)
    some = np.array([0, 5, 200])
    np.testing.assert_array_equal(
        prepared.particles.take(some).images, everyone.particles.take(rows[some]).images
    )


def test_a_run_has_no_class_for_them(campaign, table):
    prepared = read_prepared(campaign.prepare)
    rows, n = prepared.rows, len(prepared.rows)
    labels = np.arange(n) % 2
    found = Classification("em3d", labels, np.eye(2, dtype=np.float32)[labels], 0)
    folder = campaign.run("em3d-K02-s000")
    folder.path.mkdir(parents=True)
    write_run(folder, found, RunContext(prepared.everyone, rows, (".star",), 6.0, 288.0))
    read = read_labels(folder.particles.star)[1]
    others = np.setdiff1d(np.arange(table.n), rows)
    assert (read[others] == -1).all() and (read_npy(folder.posteriors)[others] == 0).all()
    np.testing.assert_array_equal(read[rows], labels)
    assert sum(read_json(folder.metrics)["class_sizes"]) == n


def test_recovered_particles_keep_the_inputs_pose_beside_the_one_found(table, tmp_path):
    campaign = written(tmp_path / "two", table, recovered=True)
    prepared = read_prepared(campaign.prepare)
    assert np.isin(POSE_ROWS, prepared.rows).all()
    rotations, shifts = poses_of(prepared.everyone)
    np.testing.assert_allclose(rotations[POSE_ROWS], np.tile(np.eye(3), (2, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(shifts[POSE_ROWS], [[12, -6]] * 2, atol=1e-4)
    np.testing.assert_allclose(prepared.everyone.rotations, table.rotations, atol=1e-6)
    others = np.setdiff1d(np.arange(table.n), POSE_ROWS)
    np.testing.assert_allclose(rotations[others], table.rotations[others], atol=1e-6)


def test_what_the_preparation_set_aside_keeps_its_reason(campaign, table):
    reason = np.full(table.n, "", "U4")
    # What fits no class; the first of them had another reason before.
    reason[[7, 20, 21]] = [JUNK, JUNK, POSE]
    folder = campaign.outliers
    everyone = read_prepared(campaign.prepare, everyone=True)
    write_outliers(folder, outliers_of(reason), everyone, ["em3d-K02-s000.1", "em3d-K02-s000.2"])
    found = read_reasons(folder)
    expected = np.full(table.n, "none", "U5")
    expected[JUNK_ROWS], expected[POSE_ROWS], expected[BAD_ROWS] = "junk", "pose", "image"
    expected[[20, 21]] = ["junk", "pose"]
    np.testing.assert_array_equal(found, expected)
    fits = read_tsv(folder.fits)
    assert list(fits["particle"]) == list(range(1, table.n + 1))
    assert set(fits["best_map"]) == {"em3d-K02-s000.1", "em3d-K02-s000.2"}
    assert read_json(folder.record)["calibration"]["separated"] is True


def test_classes_of_other_programs_count_for_none_of_them(campaign, table):
    everyone = read_prepared(campaign.prepare, everyone=True)
    reason = np.full(table.n, "", "U4")
    write_outliers(campaign.outliers, outliers_of(reason), everyone, ["a", "b"])
    labels = np.arange(table.n) % 3
    found = Classification("external", labels, np.eye(3, dtype=np.float32)[labels])
    folder = campaign.run("ext-other")
    folder.path.mkdir(parents=True)
    write_run(folder, found, RunContext(everyone.everyone, np.arange(table.n), (".star",)))
    runs = read_runs(campaign, ["ext-other"], "error")
    others = [*JUNK_ROWS, *POSE_ROWS, *BAD_ROWS]
    assert (runs.labels[others] == -1).all()
    kept = np.setdiff1d(np.arange(table.n), others)
    np.testing.assert_array_equal(runs.labels[kept, 0], labels[kept])


def test_maps_are_those_of_the_likeliest_run_of_each_kind(campaign, tmp_path):
    folder, size = CampaignFolder(tmp_path), 20
    prepared = read_prepared(campaign.prepare)
    volumes, names = maps_of_runs(folder, [], prepared)
    assert names == ["mean"]
    np.testing.assert_array_equal(volumes[0], prepared.mean_map)
    runs = {"em3d-K02-s000": 1.0, "em3d-K02-s001": 2.0, "em3d-K03-s000": 0.5, "ext-other": None}
    for number, (run, fit) in enumerate(runs.items()):
        one = folder.run(run)
        one.path.mkdir(parents=True)
        k = 3 if "K03" in run else 2
        method = "external" if fit is None else "em3d"
        write_json(one.metrics, {"method": method, "n_classes": k, "log_likelihood": fit})
        for label in range(1, k + 1) if fit is not None else ():
            write_volume(one.class_map(label), np.full((size,) * 3, 10.0 * number + label), 6.0)
    volumes, names = maps_of_runs(folder, list(runs), prepared)
    assert volumes[:, 0, 0, 0].tolist() == [11, 12, 21, 22, 23]
    expected = [f"em3d-K02-s001.{k}" for k in (1, 2)] + [f"em3d-K03-s000.{k}" for k in (1, 2, 3)]
    assert names == expected
