"""A whole campaign: its files, what changes re-run, and the same bits however it was run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emjax.io.particles.particle_set import read_particles
from tests.campaigns import ROOT, Place, assert_same_runs, long_config, tiny_config, wait_for

pytestmark = pytest.mark.slow

RUNS = ["em3d-K02-s000", "em3d-K02-s001"]
AFTER_CONSENSUS = {
    "build_consensus",
    "audit_classes",
    "draw_gallery",
    "rebalance_classes",
    "export_classes",
    "render_runs",
    "render_report",
}


def written(place: Place) -> set[str]:
    """Files of the campaign, relative to its folder."""
    root = place.folder / "results" / "tiny"
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    # The forms of other programs, and copies of the report's figures.
    return {name for name in files if not name.startswith(("export/", "figures/"))}


def test_the_files_of_the_contract_are_there_and_no_others(finished: Place):
    n_classes = len(pd.read_csv(finished.folder / "results/tiny/consensus/stability.tsv", sep="\t"))
    maps = [
        f"class_{k + 1:03d}{part}"
        for k in range(2)
        for part in (".mrc", "_half1.mrc", "_half2.mrc", "_hard.mrc")
    ]
    run = ["particles.star", "posteriors.npy", "metrics.json", "fsc.tsv", *maps]
    run += ["iterations/metrics.tsv", "report.html", "initial_001.mrc", "initial_002.mrc"]
    consensus = [
        f"class_{k + 1:03d}{part}"
        for k in range(n_classes)
        for part in (".mrc", "_half1.mrc", "_half2.mrc", "_fsc.tsv")
    ]
    consensus += ["particles.star", "intersections.tsv", "linkage.npy", "elbows.json"]
    consensus += ["stability.tsv", "agreement.tsv", "matching.tsv", "confounders.tsv"]
    prepare = ["prepare.json", "particles.star", "images.npy", "mean_map.mrc", "mean_half1.mrc"]
    prepare += ["mean_half2.mrc", "solvent_mask.mrc", "noise.tsv"]
    prepare += ["bad_images.tsv", "outliers.json", "poses.json", "doubts.json"]
    outliers = ["fits.tsv", "outliers.json", "gallery.mrcs", "gallery.star"]
    rebalance = ["affinity.npy", "superclasses.tsv", "rebalance.json"]
    rebalance += ["particles_kept.star", "particles_excluded.star"]
    expected = {f"runs/{name}/{file}" for name in RUNS for file in run}
    expected |= {f"consensus/{file}" for file in consensus}
    expected |= {f"prepare/{file}" for file in prepare}
    expected |= {f"outliers/{file}" for file in outliers}
    expected |= {f"rebalance/{file}" for file in rebalance}
    assert written(finished) == expected | {
        "runs.tsv",
        "report.html",
        "verdict.json",
        "campaign.json",
    }


def test_particle_files_keep_every_row_and_column(finished: Place):
    before = read_particles(finished.folder / "data/particles.star")
    for name in ("prepare", "consensus", f"runs/{RUNS[0]}"):
        after = read_particles(finished.folder / f"results/tiny/{name}/particles.star")
        np.testing.assert_array_equal(after.identity, before.identity)
        np.testing.assert_allclose(after.rotations, before.rotations, atol=1e-6)
        np.testing.assert_array_equal(after.defocus_u, before.defocus_u)
        own, new = before.source.particles, after.source.particles  # type: ignore[union-attr]
        assert set(own.labels) <= set(new.labels)
    assert {"rlnClassNumber", "emjaxStability", "emjaxClassPosterior"} <= {
        *read_particles(
            finished.folder / "results/tiny/consensus/particles.star"
        ).source.particles.labels  # type: ignore[union-attr]
    }


def test_the_runs_are_listed_with_how_they_went(finished: Place):
    runs = pd.read_csv(finished.folder / "results/tiny/runs.tsv", sep="\t")
    assert list(runs["run"]) == RUNS
    assert list(runs["seed"]) == [0, 1]
    metrics = json.loads(
        (finished.folder / "results/tiny/runs" / RUNS[0] / "metrics.json").read_text()
    )
    assert metrics["seed"] == 0 and len(metrics["history"]) == metrics["iterations"]
    assert {"emjax_version", "options", "input_checksum", "devices"} <= set(metrics)


def test_nothing_is_left_to_do(finished: Place):
    done = finished.snakemake(tiny_config())
    said = done.stdout.splitlines()[-3:]
    assert said[0] == "nothing to be done"
    assert said[2] == f"report: {finished.folder / 'results/tiny/report.html'}"


def test_other_particles_do_not_replace_those_of_a_finished_campaign(finished: Place):
    text = (finished.folder / "data/particles.star").read_text()
    (finished.folder / "data/moved.star").write_text(text)
    (finished.folder / "data/other.star").write_text(text.rstrip().rpartition("\n")[0] + "\n")
    before = written(finished)
    for name, found in (("other", "(checksum "), ("none", "(which is not there)")):
        done = finished.snakemake(tiny_config(particles=f"data/{name}.star"))
        assert done.returncode == 1 and written(finished) == before
        line = done.stdout.splitlines()[-1]
        assert line.startswith("error: ") and f"found data/{name}.star {found}" in line
        assert "data/particles.star (300 particles" in line and "remove results/tiny" in line
    # The same file elsewhere is the same campaign.
    assert "check_input" in finished.jobs(tiny_config(particles="data/moved.star"))


def test_a_consensus_option_reruns_the_consensus_and_what_follows(finished: Place):
    jobs = finished.jobs(tiny_config(consensus={"metric": "euclidean"}))
    assert AFTER_CONSENSUS <= jobs
    assert jobs <= AFTER_CONSENSUS | {"reconstruct_class", "record_campaign", "campaign"}


def test_a_rebalance_option_reruns_no_map(finished: Place):
    jobs = finished.jobs(tiny_config(rebalance={"factor": 1.0}))
    # Exports hold the superclasses.
    jobs -= {"export_classes"}
    assert jobs == {"rebalance_classes", "record_campaign", "render_report", "campaign"}


def test_a_class_that_is_not_there_is_reported_before_old_files_go(finished: Place):
    old = finished.folder / "results/tiny/rebalance/particles_kept.star"
    done = finished.snakemake(tiny_config(rebalance={"keep": [1, 99]}))
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("error: ") and "tiny.yaml: rebalance.keep: found class 99" in last
    assert old.exists()


def test_more_seeds_run_only_the_new_ones(finished: Place):
    em3d = tiny_config()["runs"]["em3d"] | {"seeds": 3}
    jobs = finished.jobs(tiny_config(runs={"em3d": em3d}, seeds_per_job=2))
    assert "classify_em3d_s002" in jobs
    assert not {"classify_em3d_s000", "prepare_particles"} & jobs


def test_batches_of_another_size_rerun_nothing_that_is_there(finished: Place):
    jobs = finished.jobs(tiny_config(seeds_per_job=1))
    assert not {job for job in jobs if job.startswith("classify")}


def test_a_classification_option_reruns_the_classifications(finished: Place):
    em3d = tiny_config()["runs"]["em3d"] | {"full_iterations": 4}
    jobs = finished.jobs(tiny_config(runs={"em3d": em3d}))
    assert "classify_em3d_s000" in jobs and "prepare_particles" not in jobs


def test_another_version_reruns_everything(finished: Place, tmp_path: Path):
    # A copy of the workflow without the metadata that an editable installation leaves beside it.
    shutil.copy2(ROOT / "Snakefile", tmp_path)
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    info = tmp_path / "emjax-99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: emjax\nVersion: 99.0\n")
    copy = Place(finished.folder)
    copy.snakefile = tmp_path / "Snakefile"
    jobs = copy.jobs(tiny_config())
    assert {"check_input", "prepare_particles", "classify_em3d_s000"} <= jobs
    assert AFTER_CONSENSUS - {"rebalance_classes"} <= jobs


def test_a_new_consensus_leaves_no_map_of_the_old_one(finished: Place):
    folder = finished.folder / "results/tiny/consensus"
    stale = [folder / name for name in ("class_007.mrc", "class_007_fsc.tsv")]
    for path in stale:
        path.write_text("an earlier consensus had more classes")
    measured = finished.folder / "logs/tiny/benchmarks"
    shutil.copy(measured / "reconstruct_class_001.tsv", measured / "reconstruct_class_007.tsv")
    for config in (tiny_config(consensus={"metric": "cityblock"}), tiny_config()):
        done = finished.snakemake(config)
        assert done.returncode == 0, done.stdout
        assert "classify_em3d" not in done.stdout
        assert not any(path.exists() for path in stale)
    record = json.loads((finished.folder / "results/tiny/campaign.json").read_text())
    assert "reconstruct_class_001" in record["rules"]
    assert "reconstruct_class_007" not in record["rules"]


def test_a_finished_campaign_is_reproduced_from_its_record(finished: Place):
    command = [sys.executable, "-m", "emjax", "reproduce", "results/tiny/campaign.json"]
    command += ["--cores", "2"]
    done = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "labels" in line]
    assert lines == [
        f"{name}: the same labels" for name in [*(f"runs/{r}" for r in RUNS), "consensus"]
    ]


def test_snakemakes_own_report_is_written(finished: Place):
    done = finished.snakemake(tiny_config(), "--report", "report.zip")
    assert done.returncode == 0, done.stdout
    assert (finished.folder / "report.zip").stat().st_size > 10_000


def test_a_seed_alone_gives_the_same_bits_as_in_a_batch(whole: Place, place: Place):
    done = place.snakemake(long_config([1]), "--until", "classify_em3d_s001")
    assert done.returncode == 0, done.stdout
    assert_same_runs(place, whole, ["em3d-K02-s001", "em3d-K03-s001"])


def test_a_killed_job_resumes_and_gives_the_same_bits(whole: Place, place: Place):
    command = place.command(long_config(2), "--until", "classify_em3d_s000")
    process = subprocess.Popen(
        command,
        cwd=place.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(place.folder / "checkpoints/tiny/classify_em3d_s000.previous.npz", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, cwd=place.folder, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "resuming after" in again.stderr
    runs = [f"em3d-K{k:02d}-s{s:03d}" for k in (2, 3) for s in (0, 1)]
    assert_same_runs(place, whole, runs)
    assert not list((place.folder / "checkpoints").iterdir())


def test_a_second_snakemake_on_one_campaign_is_refused(place: Place):
    config = tiny_config()
    process = subprocess.Popen(
        place.command(config, "--until", "prepare_particles"),
        cwd=place.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(place.folder / ".snakemake/campaign-tiny.lock", process)
    second = place.snakemake(config)
    assert second.returncode == 1
    assert "campaign tiny is being run by another Snakemake" in second.stdout
    assert process.wait(300) == 0
