"""An environment that spoils a campaign is reported in one line with the remedy."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emjax.campaign.environment import (
    check_home,
    check_jax_flags,
    check_packages,
    clock_doubt,
    future_files,
    no_device,
)
from emjax.errors import InputError


def test_unknown_flags_of_xla_are_refused(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_no_such_flag=1")
    with pytest.raises(InputError, match="XLA_FLAGS: found unknown --xla_no_such_flag=1, .* unset"):
        check_jax_flags()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    check_jax_flags()
    monkeypatch.delenv("XLA_FLAGS")
    check_jax_flags()


@pytest.mark.parametrize("platform", ["cuda", "nowhere"])
def test_a_platform_that_is_not_there_is_reported(platform: str):
    program = "import jax; from emjax.campaign.environment import no_device; print(no_device())"
    environment = os.environ | {"JAX_PLATFORMS": platform}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    said = done.stdout.decode()
    if said.strip() == "None":
        pytest.skip("this machine has a GPU that JAX can use")
    assert f"JAX_PLATFORMS: found {platform}, which" in said and "unset it to compute on" in said
    assert said.count("\n") == 1


def test_a_platform_that_is_there_is_not_to_blame(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert no_device() is None


def test_clocks_that_differ_are_reported(tmp_path: Path):
    path = tmp_path / "log"
    path.touch()
    assert clock_doubt(path) is None and future_files([path, tmp_path / "none"]) == []
    os.utime(path, (time.time(), time.time() - 100))
    said = clock_doubt(path)
    assert said is not None and "are 100 s apart" in said and "set the clocks alike" in said
    assert future_files([path]) == []
    os.utime(path, (time.time(), time.time() + 1000))
    (said,) = future_files([path])
    assert f"{path}: its time lies" in said and f"touch {path}" in said


def test_without_a_home_caches_go_beside_the_campaign(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    check_home()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "mine") and not capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere/.cache")
    check_home()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / ".snakemake/cache")
    assert "found /proc/nowhere/.cache, which cannot be written to" in capsys.readouterr().err


def test_packages_of_another_environment_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check_packages()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    command = [sys.executable, "-m", "emjax", "check", "my.yaml"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(f"error: environment, PYTHONPATH: found {tmp_path}, whose numpy is not")
    assert line.endswith("unset PYTHONPATH")
