"""The rehearsal of a first run on a GPU, in tiny sizes and with interpreted kernels."""

import json
import os
import subprocess
import sys

import jax
import pytest

from tests.campaigns import ROOT

PROGRAM = ROOT / "benchmarks/gpu.py"
# In this order they run where no step is asked for.
STEPS = ["info", "check", "times", "seeds", "basis", "bits", "deterministic", "two", "campaign"]


def gpu(*arguments: str) -> tuple[int, list[dict], str]:
    """Exit status, what each line of output holds, and what was said beside."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_kernels_are_compared_with_the_engine_of_the_processor():
    code, (info, check), said = gpu("--tiny", "--only", "info", "check")
    assert code == 0, said
    assert info["step"] == "info" and info["backend"] == jax.default_backend()
    assert info["interpreted"] == (info["backend"] == "cpu")
    assert info["copy_gb_per_s"] > 0 and info["matmul_highest"]["relative_error"] < 1e-6
    assert check["step"] == "check" and check["holds"] and check["same_bits_twice"]
    assert set(check["apart"]) == {"log_likelihood", "numerator", "denominator"}
    # Two engines that compute in another order differ, or it was one and the same.
    assert 0 < max(check["apart"].values()) <= check["tolerance"] == 2e-5


@pytest.mark.slow
def test_everything_that_is_timed_is_timed():
    code, lines, said = gpu("--tiny", "--only", "times", "seeds", "basis", "bits", "two")
    assert code == 0, said
    times, seeds, basis, bits, two = lines
    assert {"pass_64", "pass_72"} <= set(times) and times["pass_72"]["wall_s"] > 0
    assert times["m_step_particle_classes_per_s"] > 0 < times["e_step_particle_classes_per_s"]
    assert seeds["seeds"] == 8 and seeds["highest_tiles_of_64_s_per_iteration"] > 0
    assert basis["share_of_blocks_kept"] == 1 and basis["iteration_us_per_particle"] > 0
    assert all(bits[name]["seconds"] > 0 for name in ("back_project", "solve_map", "insert"))
    assert bits["insert"]["same_bits"]
    assert [job["right"] for job in two["jobs"]] == [True, True]


def test_what_does_not_fit_the_budget_is_said():
    code, lines, _ = gpu("--tiny", "--budget", "5")
    assert code == 0 and [line["step"] for line in lines] == STEPS
    assert lines[-1]["left_out"].endswith("s of the budget left, expected 100")
    assert all("left_out" in line for line in lines)


def test_a_step_that_fails_is_said_and_counts(tmp_path):
    (tmp_path / "jax.py").write_text("raise ImportError('no JAX here')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, str(PROGRAM), "--tiny", "--only", "info"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "no JAX here" in done.stderr
    assert json.loads(done.stdout)["failed"] == "exit status 1; the traceback is above"


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="this machine has a GPU")
def test_without_a_gpu_one_line_says_so():
    code, lines, said = gpu("--only", "info")
    assert code == 1 and not lines
    assert said == (
        f"error: JAX sees no GPU on {os.uname().nodename}, expected one and"
        " jax[cuda12] or jax[cuda13]; --tiny rehearses on the processor\n"
    )
