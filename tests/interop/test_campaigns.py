"""Whole campaigns from RELION's and CryoSPARC's files."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emjax.io.convert.convert import convert
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with 300 simulated particles in `data/`."""
    folder = tmp_path_factory.mktemp("campaigns")
    command = [sys.executable, "-m", "emjax.simulate.demo", str(folder / "data"), "300"]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder


def campaign(project: Path, name: str, particles: str, external: str = "[]") -> Path:
    """Run a small campaign; its results."""
    (project / f"{name}.yaml").write_text(
        f"campaign: {name}\nparticles: {particles}\nfilter_resolution: 24\n"
        "runs:\n  em3d: {n_classes: [2], seeds: 3, online_epochs: 0, full_iterations: 3}\n"
        f"  external: {external}\n"
    )
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--configfile", f"{name}.yaml", "--cores", "2"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return project / "results" / name


@pytest.fixture(scope="module")
def relion_runs(project) -> list[Path]:
    """Three Class3D jobs of one iteration, where RELION is installed."""
    if shutil.which("relion_refine") is None:
        return []
    data = project / "data"
    mean = ["relion_reconstruct", "--i", "particles.star", "--o", "mean.mrc", "--ctf"]
    subprocess.run(mean, cwd=data, check=True, capture_output=True)
    jobs = [project / "Class3D" / f"job{seed:03d}" for seed in (1, 2, 3)]
    for seed, job in enumerate(jobs, 1):
        job.mkdir(parents=True)
        command = f"""relion_refine --i particles.star --o {job}/run --ref mean.mrc --ctf --K 2
            --iter 1 --skip_align --particle_diameter 200 --zero_mask --norm --scale --pad 1 --j 1
            --pool 30 --dont_combine_weights_via_disc --preread_images --random_seed {seed}
            --ini_high 40"""
        subprocess.run(command.split(), cwd=data, check=True, capture_output=True)
    return jobs


@pytest.fixture(scope="module")
def from_star(project, relion_runs) -> Path:
    """Results of three seeds on a STAR file, joined with RELION's runs."""
    runs = [f"{{name: relion-{job.name}, path: Class3D/{job.name}}}" for job in relion_runs]
    return campaign(project, "star", "data/particles.star", f"[{', '.join(runs)}]")


def test_cs_and_star_give_the_same_labels(project, from_star):
    convert(project / "data" / "particles.star", project / "data" / "particles.cs")
    from_cs = campaign(project, "cs", "data/particles.cs")
    for run in ("em3d-K02-s000", "em3d-K02-s001", "em3d-K02-s002"):
        star, cs = (read_labels(r / "runs" / run / "particles.star") for r in (from_star, from_cs))
        # Poses and CTFs pass through float32, so single votes on the edge may change.
        assert np.mean(star[1] == cs[1]) >= 0.99, run
    cs = read_particles(project / "data" / "particles.cs", check_images=False)
    written = sorted(from_cs.rglob("consensus/particles*"))
    assert any(path.suffix == ".cs" for path in written), written
    for path in written:
        again = read_particles(path, check_images=False)
        assert again.identity.tolist() == cs.identity.tolist()


@pytest.mark.relion
def test_three_runs_of_relion_join_three_of_ours(relion_runs, from_star):
    if not relion_runs:
        pytest.skip("not installed: relion_refine")
    names = [f"relion-{job.name}" for job in relion_runs]
    runs, page = (from_star / "runs.tsv").read_text(), (from_star / "report.html").read_text()
    assert all(f"ext-{name}" in runs and name in page for name in names)
    theirs = read_labels(relion_runs[0])
    ours = read_labels(from_star / "runs" / f"ext-{names[0]}" / "particles.star")
    assert dict(zip(*theirs[:2], strict=True)) == dict(zip(*ours[:2], strict=True))


def test_a_table_with_columns_of_its_own_joins(project, from_star):
    particles = read_particles(project / "data" / "particles.star")
    votes = read_labels(from_star / "runs" / "em3d-K02-s000" / "particles.star")[1] + 1
    rows = (f"{key},{vote}" for key, vote in zip(particles.identity, votes, strict=True))
    (project / "own.csv").write_text("\n".join(["picked,state", *rows]))
    run = "[{name: own, path: own.csv, key: picked, class_column: state}]"
    results = campaign(project, "star", "data/particles.star", run)
    labels = read_labels(results / "runs" / "ext-own" / "particles.star")[1]
    np.testing.assert_array_equal(labels + 1, votes)


def test_classes_are_exported_and_relion_reads_them(from_star):
    export = from_star / "export"
    data = export / "relion" / "run_it025_data.star"
    kept = (read_labels(from_star / "consensus" / "particles.star")[1] >= 0).sum()
    assert len(read_labels(data)[1]) == kept > 0
    assert (export / "chimerax" / "classes.cxc").exists()
    if shutil.which("relion_star_printtable") is None:
        pytest.skip("not installed: relion_star_printtable")
    model = export / "relion" / "run_it025_model.star"
    command = ["relion_star_printtable", model, "data_model_classes", "_rlnReferenceImage"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == len(list(from_star.glob("consensus/class_???.mrc")))
