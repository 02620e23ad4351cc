"""What every job does around its work: stops, warnings, checkpoints that were put off."""

import os
import signal
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


@pytest.fixture
def rule(tmp_path: Path) -> SimpleNamespace:
    """What a script knows of its own rule."""
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
