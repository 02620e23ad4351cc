"""Campaigns on a real SLURM: cancelled, preempted, over memory, left alone, started again."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from emjax.io.labels.read import read_labels
from tests.campaigns import ROOT, Place, assert_same_runs, long_config
from tests.slurm.cluster import Cluster, missing

WHY_NOT = missing()
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no SLURM: {WHY_NOT}"),
]

RULE = "classify_em3d_s000"
RUNS = [f"em3d-K{k:02d}-s{s:03d}" for k in (2, 3) for s in (0, 1)]
# A job must last longer than SLURM takes to preempt it, also on a fast machine.
ITERATIONS = 120
# A cluster without accounting, and tests that are in a hurry.
HERE = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "12"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running SLURM; its folder's parents may be searched by everyone, as munged demands."""
    folder = tmp_path_factory.mktemp("slurm")
    for parent in [folder, *folder.parents]:
        if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    running = Cluster(folder, cpus=8)
    yield running
    running.stop()


class Submission:
    """Snakemake with a SLURM profile, running in a folder."""

    def __init__(
        self,
        cluster: Cluster,
        place: Place,
        *arguments: str,
        profile: str = "slurm",
        campaign: str = "tiny",
        out: str = "snakemake.out",
    ):
        """Started at once; its output goes to a file."""
        self.cluster, self.out = cluster, place.folder / out
        config = long_config(2, ITERATIONS) | {"campaign": campaign}
        command = [*place.command(config), *HERE, *arguments]
        del command[command.index("--cores") : command.index("--cores") + 2]
        # Snakemake itself runs on one CPU, as docs/clusters.md says; its jobs ask for more.
        command = ["taskset", "-c", "0", *command, "--profile", str(ROOT / "profiles" / profile)]
        with self.out.open("a") as out:
            self.process = subprocess.Popen(
                command,
                cwd=place.folder,
                env=cluster.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait(self, seconds: float = 400) -> str:
        """Until Snakemake ends well; what it said."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = None
        output = self.out.read_text()
        assert status == 0, output[-4000:]
        return output

    def until(self, happens: Callable[[], object], seconds: float = 240):
        """Until something is true; Snakemake must still run then."""
        deadline = time.monotonic() + seconds
        while not (found := happens()):
            output = self.out.read_text()[-3000:]
            assert self.process.poll() is None and time.monotonic() < deadline, output
            time.sleep(0.2)
        return found

    def running(self, rule: str = RULE) -> str | None:
        """Number of the SLURM job of a rule while it runs."""
        jobs = self.cluster.jobs("RUNNING")
        return next((number for number, comment in jobs if rule in comment), None)


@pytest.fixture(scope="module")
def reference(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, particles: Path
) -> tuple[Place, str]:
    """A campaign that nothing happened to, run to its report through the slurm profile."""
    place = Place(tmp_path_factory.mktemp("reference"))
    shutil.copytree(particles, place.folder / "data")
    return place, Submission(cluster, place).wait(600)


@pytest.fixture
def place(tmp_path: Path, reference: tuple[Place, str]) -> Place:
    """A copy of the finished campaign in which only the preparation is done."""
    shutil.copytree(reference[0].folder, tmp_path, dirs_exist_ok=True)
    for name in ("runs", "consensus", "rebalance"):
        shutil.rmtree(tmp_path / "results" / "tiny" / name)
    for name in ("results/tiny/runs.tsv", "results/tiny/report.html", "snakemake.out"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "logs")
    return Place(tmp_path)


def checkpoint(place: Place) -> Path:
    """What a classification leaves while it runs; on a slow disk there may be only one."""
    return place.folder / "checkpoints" / "tiny" / f"{RULE}.npz"


def job_log(place: Place) -> str:
    """What the classification noted."""
    return (place.folder / "logs" / "tiny" / f"{RULE}.log").read_text()


def test_a_campaign_runs_from_the_profile(reference: tuple[Place, str]):
    place, output = reference
    assert (place.folder / "results/tiny/report.html").stat().st_size > 10_000
    assert output.count("has been submitted with SLURM jobid") >= 8
    for run in RUNS:
        assert (place.folder / "results/tiny/runs" / run / "metrics.json").exists()


def test_the_gpu_profile_asks_for_a_gpu_where_it_computes(cluster: Cluster, place: Place):
    submission = Submission(cluster, place, "--until", RULE, profile="slurm-gpu")
    number = submission.until(submission.running)
    described = cluster.run("scontrol", "show", "job", number).stdout
    assert "Partition=gpu" in described and "gres:gpu:1" in described
    assert "CPUs/Task=4" in described
    submission.wait()


def test_the_gpu_profile_leaves_small_rules_off_the_gpus(cluster: Cluster, place: Place):
    shutil.rmtree(place.folder / "results")
    submission = Submission(cluster, place, "--until", "check_input", profile="slurm-gpu")
    number = submission.until(lambda: submission.running("check_input"))
    described = cluster.run("scontrol", "show", "job", number).stdout
    assert "Partition=cpu" in described and "gpu" not in described.split("Command=")[0]
    submission.wait()


def test_a_cancelled_job_resumes(cluster: Cluster, place: Place, reference: tuple[Place, str]):
    submission = Submission(cluster, place, "--until", RULE)
    submission.until(checkpoint(place).exists)
    number = submission.until(submission.running)
    assert "CPUs/Task=4" in cluster.run("scontrol", "show", "job", number).stdout
    cluster.run("scancel", number)
    submission.wait()
    assert "resuming after" in job_log(place)
    assert_same_runs(place, reference[0], RUNS)


def test_a_preempted_job_is_requeued_and_resumes(
    cluster: Cluster, place: Place, reference: tuple[Place, str]
):
    partition = f"{RULE}:slurm_partition=spare"
    submission = Submission(cluster, place, "--until", RULE, "--set-resources", partition)
    submission.until(checkpoint(place).exists)
    number = submission.until(submission.running)
    urgent = cluster.run(
        "sbatch", "--parsable", "-p", "urgent", "-c", "8", "-o", "/dev/null", "--wrap", "sleep 3"
    )
    assert urgent.returncode == 0, urgent.stderr
    submission.until(lambda: not submission.running())
    submission.wait()
    assert "Restarts=1" in cluster.run("scontrol", "show", "job", number).stdout
    assert "resuming after" in job_log(place)
    assert_same_runs(place, reference[0], RUNS)


def test_a_job_over_its_memory_gets_more(
    cluster: Cluster, place: Place, reference: tuple[Place, str]
):
    memory = f"{RULE}:mem_mb=250*6**(attempt-1)"
    submission = Submission(cluster, place, "--until", RULE, "--set-resources", memory)
    output = submission.wait()
    assert "Trying to restart job" in output
    assert_same_runs(place, reference[0], RUNS)


def test_a_killed_snakemake_is_started_again(
    cluster: Cluster, place: Place, reference: tuple[Place, str]
):
    first = Submission(cluster, place, "--until", RULE)
    first.until(checkpoint(place).exists)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    Submission(cluster, place, "--until", RULE).wait()
    assert_same_runs(place, reference[0], RUNS)


def test_campaigns_at_once_in_one_folder_and_in_two(
    cluster: Cluster, place: Place, reference: tuple[Place, str], tmp_path_factory
):
    elsewhere = Place(tmp_path_factory.mktemp("elsewhere"))
    shutil.copytree(place.folder / "data", elsewhere.folder / "data")
    first = Submission(cluster, place, "--until", RULE)
    first.until(first.running)
    same = Submission(cluster, place, "--until", RULE, out="same.out")
    assert same.process.wait(60) == 1
    assert "campaign tiny is being run by another Snakemake" in same.out.read_text()
    beside = Submission(cluster, place, "--until", RULE, campaign="beside", out="beside.out")
    other = Submission(cluster, elsewhere, "--until", RULE)
    for submission in (first, beside, other):
        submission.wait()
    assert_same_runs(place, reference[0], RUNS)
    assert_same_runs(elsewhere, reference[0], RUNS)
    labels = [
        read_labels(place.folder / "results" / name / "runs" / RUNS[0] / "particles.star")[1]
        for name in ("tiny", "beside")
    ]
    np.testing.assert_array_equal(*labels)


def test_the_profiles_name_rules_that_exist():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for path in (ROOT / "profiles").glob("*/config.yaml"):
        for rule in yaml.safe_load(path.read_text()).get("set-resources", {}):
            # The batches of a method have one name between them.
            names = (
                f"rule {rule}:",
                f"checkpoint {rule}:",
                f'computing(\n                "{rule}",',
            )
            names += (f'computing("{rule}",', f'"{rule}", lambda')
            assert any(name in rules for name in names), rule
