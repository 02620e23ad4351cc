"""The consensus of label files alone: RELION's jobs and a `.cs` set, their images deleted."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emjax.campaign.draft import draft_consensus
from emjax.io.convert.convert import convert
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import StarFile, make_table, read_star, write_star
from tests.workflow.conftest import Place

pytestmark = pytest.mark.slow

MADE = {"campaign.json", "consensus", "figures", "report.html", "runs.tsv", "verdict.json"}


def run(place: Place, config: dict) -> Path:
    """Run it to its end; its results."""
    done = place.snakemake(config)
    assert done.returncode == 0, done.stdout
    return place.folder / "results" / config["campaign"]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """Three Class3D jobs of RELION without the images that they were made from."""
    if shutil.which("relion_refine") is None:
        pytest.skip("not installed: relion_refine")
    place = Place(tmp_path_factory.mktemp("labels"))
    data = place.folder / "data"
    shutil.copytree(particles, data)
    truth = pd.read_csv(data / "truth.csv")["state"].to_numpy()
    table = read_star(data / "particles.star")
    for seed in (1, 2, 3):
        job = place.folder / f"Class3D/job{seed:03d}"
        job.mkdir(parents=True)
        # Starts that differ: maps of two thirds of the particles that belong, and of others.
        drawn = np.random.default_rng(seed).random(len(truth)) < 2 / 3
        start = np.where(drawn, truth > 0, np.arange(len(truth)) % 2 == 0)
        for k in (0, 1):
            part = table.with_table(table["particles"].select(np.flatnonzero(start == k)))
            write_star(data / f"start_{k}.star", part)
            made = f"relion_reconstruct --i start_{k}.star --o start_{k}.mrc --ctf"
            subprocess.run(made.split(), cwd=data, check=True, capture_output=True)
        starts = {"rlnReferenceImage": ["start_0.mrc", "start_1.mrc"]}
        write_star(data / "starts.star", StarFile((make_table("", starts),)))
        command = f"""relion_refine --i particles.star --o {job}/run --ref starts.star --ctf --K 2
            --iter 2 --skip_align --particle_diameter 200 --zero_mask --norm --scale --pad 1 --j 1
            --pool 30 --dont_combine_weights_via_disc --preread_images --random_seed {seed}
            --ini_high 30 --tau2_fudge 4"""
        subprocess.run(command.split(), cwd=data, check=True, capture_output=True)
    shutil.rmtree(data)
    return place


@pytest.mark.relion
def test_three_jobs_of_relion_without_their_images(jobs: Place, monkeypatch: pytest.MonkeyPatch):
    labels = [Path(f"Class3D/job{seed:03d}") for seed in (1, 2, 3)]
    results = run(jobs, draft_consensus(labels, None, "three", {"n_classes": 2}))
    monkeypatch.chdir(jobs.folder)
    assert {path.name for path in results.iterdir()} == MADE
    given = np.stack([read_labels(job)[1] for job in labels], 1)
    keys, classes, _ = read_labels(results / "consensus/particles.star")
    assert keys.tolist() == read_labels(labels[0])[0].tolist()
    groups = pd.read_csv(results / "consensus/intersections.tsv", sep="\t")
    patterns, counts = np.unique(given, axis=0, return_counts=True)
    assert sorted(groups["size"]) == sorted(counts) and groups["p_value"].between(0, 1).all()
    # Each group as particles, in both formats, and together all of them.
    for suffix in ("star", "cs"):
        parts = {
            group: read_particles(
                results / f"consensus/intersections/intersection_{group:03d}.{suffix}",
                check_images=False,
            )
            for group in groups["id"]
        }
        assert [parts[group].n for group in groups["id"]] == groups["size"].tolist()
    star = np.concatenate([
        read_labels(results / f"consensus/intersections/intersection_{group:03d}.star")[0]
        for group in groups["id"]
    ])  # fmt: skip
    assert sorted(star) == sorted(keys)
    for k in (1, 2):
        own = read_labels(results / f"consensus/classes/class_{k:03d}.star")[0]
        assert own.tolist() == keys[classes == k - 1].tolist()
    assert np.bincount(classes).tolist() == sorted(np.bincount(classes), reverse=True)
    # RELION's map of the class that is most like each.
    table = pd.read_csv(results / "consensus/representatives.tsv", sep="\t")
    for row in table.itertuples():
        job = Path("Class3D") / str(row.run)
        source = job / f"run_it002_class{row.class_of_run:03d}.mrc"
        assert str(row.copied_from) == str(source)
        copy = results / "consensus/representatives" / str(row.map)
        assert copy.read_bytes() == source.read_bytes()
    assert "joined_on" in (results / "runs.tsv").read_text()
    record = json.loads((results / "campaign.json").read_text())
    assert record["n_particles"] == len(keys) and record["config"]["job"] == "consensus"


def test_a_cs_set_and_tables_of_classes(
    tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    convert(particles / "particles.star", tmp_path / "input.cs")
    table = read_particles(tmp_path / "input.cs", check_images=False)
    truth = np.arange(table.n) % 3
    votes = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        noisy = np.where(rng.random(table.n) < 0.1, rng.integers(0, 3, table.n), truth)
        votes.append(rng.permutation(3)[noisy])
    (tmp_path / "J7").mkdir()
    own = {"rlnClassNumber": votes[0] + 1, "rlnMaxValueProbDistribution": np.ones(table.n)}
    write_particles(tmp_path / "J7/J7_00020_particles.cs", table, own)
    rows = (f"{key},{vote + 1}" for key, vote in zip(table.identity, votes[1], strict=True))
    (tmp_path / "uids.csv").write_text("\n".join(["uid,class", *rows]))
    np.savez(tmp_path / "rows.npz", labels=votes[2])
    files = [Path("J7/J7_00020_particles.cs"), Path("uids.csv"), Path("rows.npz")]
    results = run(Place(tmp_path), draft_consensus(files, None, "mixed", {}))
    assert {path.name for path in results.iterdir()} == MADE
    runs = pd.read_csv(results / "runs.tsv", sep="\t")
    assert runs["joined_on"].tolist() == ["key", "key", "row number"]
    keys, classes, _ = read_labels(results / "consensus/particles.cs")
    assert keys.tolist() == table.identity.tolist()
    for k in range(3):
        members = classes[truth == np.bincount(truth[classes == k]).argmax()]
        assert np.mean(members == k) > 0.9
    assert len(list((results / "consensus/classes").glob("*.cs"))) == 3
    verdict = json.loads((results / "verdict.json").read_text())
    assert verdict["headline"].startswith("3 classes hold ")
