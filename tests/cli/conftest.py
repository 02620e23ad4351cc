"""The command as a user types it, in an empty folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from emjax.cli import main
from tests.campaigns import tiny_config


class Said(NamedTuple):
    """What a command said, and its exit status."""

    code: int
    out: str
    err: str


Emjax = Callable[..., Said]


@pytest.fixture
def emjax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Emjax:
    """Runs a command in an empty folder, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Said(code, *capfd.readouterr())

    return run


@pytest.fixture
def tiny(emjax: Emjax, particles: Path) -> str:
    """Particles and the configuration of a tiny campaign in that folder."""
    shutil.copytree(particles, "data")
    Path("tiny.yaml").write_text(yaml.safe_dump(tiny_config()))
    return "tiny.yaml"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines that Snakemake would have been started with; each succeeds."""
    commands: list[list[str]] = []

    def run(command: list[str], *, verbose: bool = False) -> int:
        assert verbose or "EMJAX_VERBOSE" not in os.environ
        commands.append(list(command))
        return 0

    monkeypatch.setattr("emjax.campaign.engine.run_snakemake", run)
    monkeypatch.setattr("emjax.campaign.demo.run_snakemake", run)
    return commands
