"""What every job does around its work: stops, warnings, checkpoints that were put off."""

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emjax.campaign.job import job
from emjax.classify.em3d.state import IterationRecord, Run, RunState, Stage
from emjax.errors import InputError, OptionError
from emjax.jobs.checkpoint import Checkpoint
from emjax.jobs.em3d_progress import stand
from tests.campaigns import ROOT


@pytest.fixture
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What a script knows of its own rule; JAX of this process stays as it is."""
    monkeypatch.setattr("emjax.campaign.job.set_up_jax", lambda: None)
    return SimpleNamespace(rule="a_rule", log=[str(tmp_path / "logs/tiny/a.log")], config={})


def state(iteration: int) -> RunState:
    """A run after some iterations."""
    return RunState(
        run=Run(2, 7),
        volumes=np.full((2, 4, 4, 4), iteration, np.float32),
        class_weights=np.full(2, 0.5),
        labels=np.zeros(3, np.int32),
        iteration=iteration,
        converged=False,
        history=(),
        initial_differences=(0.25, 0.5),
    )


def test_a_stopped_job_saves_its_last_iteration(rule: SimpleNamespace, tmp_path: Path):
    checkpoint = Checkpoint(tmp_path / "c.npz", "this computation")

    def work_until_stopped() -> None:
        with job(rule) as work:
            work.rescues.append(checkpoint.flush)
            checkpoint.save([state(1)])
            checkpoint._cost = 1e6  # saving is slow, so the next one is put off
            checkpoint.save([state(2)])
            saved = Checkpoint(tmp_path / "c.npz", "this computation").load()
            assert saved is not None and saved[0].iteration == 1
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(SystemExit) as stop:
        work_until_stopped()
    assert stop.value.code == 143
    saved = Checkpoint(tmp_path / "c.npz", "this computation").load()
    assert saved is not None and saved[0].iteration == 2
    np.testing.assert_array_equal(saved[0].volumes, state(2).volumes)
    assert saved[0].initial_differences == (0.25, 0.5)
    assert Checkpoint(tmp_path / "c.npz", "another computation").load() is None


def test_a_finished_job_rescues_nothing(rule: SimpleNamespace):
    called = []
    with job(rule) as work:
        work.rescues.append(lambda: called.append(1))
    assert not called


def test_warnings_are_one_line_on_the_terminal_and_in_the_log(rule: SimpleNamespace, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with job(rule):
            warnings.warn("the stack is odd", stacklevel=1)
    assert capsys.readouterr().err == "a_rule: warning: the stack is odd\n"
    assert "the stack is odd" in Path(rule.log[0]).read_text()


def test_an_interrupted_job_says_how_to_resume(rule: SimpleNamespace, capsys):
    with pytest.raises(SystemExit) as stop, job(rule):
        raise KeyboardInterrupt
    assert stop.value.code == 130
    message = "interrupted; run the same command again to resume"
    assert capsys.readouterr().err == f"a_rule: {message}\n"
    assert Path(rule.log[0]).read_text().endswith(f"{message}\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("config", "particles", "x"), "my.yaml: particles: found x"),
        (OptionError("rebalance.keep", "class 9"), "my.yaml: rebalance.keep: found class 9"),
        (OptionError("symmetry", "Q"), "my.yaml: symmetry: found Q"),
        (OptionError("mode", 1), "my.yaml: runs.som.mode: found 1"),
        (InputError("data.star", None, "x"), "data.star: found x"),
        (ValueError("no convergence"), "no convergence"),
    ],
)
def test_an_error_in_an_option_names_the_file(
    error: ValueError, message: str, rule: SimpleNamespace, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EMJAX_CONFIG", "my.yaml")
    rule.config = {"symmetry": "C1", "runs": {"em3d": {}, "som": {"mode": "ecm"}}}
    with pytest.raises(SystemExit), job(rule):
        raise error
    assert capsys.readouterr().err == f"error: {message} (log: {rule.log[0]})\n"


def test_resuming_and_progress_count_the_same_iterations():
    def record(stage: Stage) -> IterationRecord:
        return IterationRecord(1, stage, 2, 0.0, 0.0, 0.0, 0.0, (1, 1), (1.0, 1.0), (), ())

    history = tuple(map(record, (Stage.ONLINE, Stage.COARSE, Stage.COARSE)))
    assert stand([replace(state(3), stage=Stage.COARSE, history=history)]) == ("coarse", 2)
    assert stand([replace(state(3), history=(*history, record(Stage.FULL)))]) == ("full", 1)


def test_an_error_is_one_line_and_its_traceback_is_in_the_log(rule: SimpleNamespace, capsys):
    with pytest.raises(SystemExit) as stop, job(rule):
        raise MemoryError("no room\nfor it")
    assert stop.value.code == 1
    message = capsys.readouterr().err
    assert message == f"error: MemoryError: no room for it (log: {rule.log[0]})\n"
    assert "Traceback" in Path(rule.log[0]).read_text()


JOB = """
from types import SimpleNamespace
{first}
from emjax.campaign.job import job
with job(SimpleNamespace(rule="a_rule", log=["logs/tiny/a.log"], config={{}})):
    import os
    import jax
    print(jax.config.jax_default_matmul_precision, os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"])
    jax.numpy.linalg.svd(jax.numpy.ones((64, 64)))
"""
OURS = (
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_COMPILATION_CACHE_DIR",
)
# What is compiled here takes less than a job would keep on a fast machine.
KEEP_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


def run_job(folder: Path, first: str = "", **environment: str) -> str:
    """What a job with JAX says of its settings, in a process of its own."""
    env = {k: v for k, v in os.environ.items() if k not in OURS} | KEEP_ALL
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", JOB.format(first=first)]
    done = subprocess.run(
        command, cwd=folder, env=env | environment, capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "running for" not in line]
    assert done.returncode == 0 and not said, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("first", ["", "import jax"], ids=["jax later", "jax first"])
def test_a_job_sets_jax_up_also_where_it_is_loaded(first: str, tmp_path: Path):
    assert run_job(tmp_path, first) == "highest false"
    # Read again by the next job, which says nothing of it.
    assert list(tmp_path.glob(".snakemake/compiled/*/jit_*"))
    assert run_job(tmp_path, first) == "highest false"


def test_the_environment_wins_over_what_jobs_want_of_jax(tmp_path: Path):
    own = {"JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32", "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
    found = run_job(tmp_path, "import jax", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "c"), **own)
    assert found == "tensorfloat32 true"
    assert list((tmp_path / "c").iterdir()) and not (tmp_path / ".snakemake").exists()


def test_compiled_code_that_was_cut_off_is_compiled_anew(tmp_path: Path):
    run_job(tmp_path)
    for path in tmp_path.glob(".snakemake/compiled/*/jit_*-cache"):
        path.write_bytes(path.read_bytes()[:100])
    assert run_job(tmp_path) == "highest false"


@pytest.mark.parametrize("asked", [0, 1])
def test_a_gpu_that_jax_cannot_use_is_one_line(asked: int, rule: SimpleNamespace, capsys):
    """As JAX's build for GPUs logs it on a node without one."""
    rule.config = {"gpus_per_job": asked}
    with job(rule):
        try:
            raise RuntimeError("operation cuInit(0)\nfailed")
        except RuntimeError:
            logging.getLogger("jax._src.xla_bridge").exception("Jax plugin configuration error")
    line = f"JAX uses no GPU on {os.uname().nodename}: operation cuInit(0) failed"
    assert Path(rule.log[0]).read_text().count(line) == 1
    said = [word for word in capsys.readouterr().err.splitlines() if "running for" not in word]
    assert said == ([f"a_rule: warning: {line}"] if asked else [])
