"""Snakemake as emjax starts it."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import snakemake.cli
import yaml
from snakemake.settings.enums import Quietness

from emjax.campaign.engine import run_snakemake, snakemake_command
from emjax.campaign.shipped import shipped
from emjax.errors import InputError

# A program that says it is there, and what ends it.
SLEEPER = """
import signal, sys, time, pathlib
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
try:
    pathlib.Path("there").touch()
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(5)
"""
RUN = "import sys; from emjax.campaign.engine import run_snakemake; sys.exit(run_snakemake({}))"


def parsed(command: list[str]) -> argparse.Namespace:
    """What Snakemake itself makes of a command line."""
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    return snakemake.cli.get_argument_parser().parse_args(command[3:])


def test_the_shipped_workflow_runs_as_its_profile_says():
    options = parsed(snakemake_command("my.yaml", ["--until", "all"]))
    assert [str(path) for path in options.configfile] == ["my.yaml"]
    assert options.snakefile == str(shipped("Snakefile")) and Path(options.snakefile).exists()
    assert options.until == {"all"}
    profile = yaml.safe_load((shipped("profiles/default") / "config.yaml").read_text())
    assert profile["cores"] == "all" and options.cores == os.cpu_count()
    assert profile["nolock"] is True and options.nolock
    assert options.quiet == {Quietness.ALL}
    assert set(profile) == {"cores", "nolock", "quiet", "rerun-incomplete"}
    assert options.rerun_incomplete


def test_a_target_and_the_users_own_options_win():
    command = snakemake_command("my.yaml", ["a.html", "--cores", "1"], verbose=True)
    options = parsed(command)
    assert list(options.targets) == ["a.html"]
    assert options.cores == 1


@pytest.mark.parametrize("name", ["gpu", "slurm", "slurm-gpu"])
def test_a_profile_is_found_by_name(name: str):
    command = snakemake_command("my.yaml", profile=name)
    folder = Path(command[command.index("--profile") + 1])
    assert folder.name == name and (folder / "config.yaml").exists()


def test_jobs_that_compute_take_turns_on_the_gpus_of_one_machine():
    """Rules that compute ask for `gpus_per_job` of the resource, of which the machine has one."""
    command = snakemake_command("my.yaml", profile="gpu")
    _, options = snakemake.cli.parse_args(command[3:])
    assert options.config == ["gpus_per_job=1"] and options.resources["gpu"] == 1
    assert options.executor in (None, "local")
    assert options.nolock and options.cores == os.cpu_count()  # as without a profile


def test_a_profile_of_the_users_own_is_a_folder(tmp_path: Path):
    command = snakemake_command("my.yaml", profile=str(tmp_path))
    assert command[command.index("--profile") + 1] == str(tmp_path)
    with pytest.raises(
        InputError, match="--profile: found slrm, expected one of default, gpu, slurm"
    ):
        snakemake_command("my.yaml", profile="slrm")


def test_a_workflow_profile_of_the_users_own_replaces_the_shipped_one():
    for arguments in (["--workflow-profile", "mine"], ["--workflow-profile=mine"]):
        options = parsed(snakemake_command("my.yaml", arguments))
        assert str(options.workflow_profile) == "mine" and options.quiet == {Quietness.ALL}


def test_verbose_lets_snakemake_speak():
    assert parsed(snakemake_command("my.yaml", verbose=True)).quiet == {
        Quietness.HOST,
        Quietness.REASON,
    }


@pytest.mark.parametrize("code", [0, 1, 3])
def test_exit_status_is_passed_on(code: int):
    assert run_snakemake([sys.executable, "-c", f"raise SystemExit({code})"]) == code


def test_a_killed_program_ends_with_128_and_the_signal():
    kill = "import os; os.kill(os.getpid(), 9)"
    assert run_snakemake([sys.executable, "-c", kill]) == 137


@pytest.mark.parametrize(
    ("number", "to_group", "code"), [(signal.SIGINT, True, 5), (signal.SIGTERM, False, 7)]
)
def test_an_interrupted_program_is_waited_for(
    number: int, to_group: bool, code: int, tmp_path: Path
):
    command = [sys.executable, "-c", SLEEPER]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(command)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "there").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in said
