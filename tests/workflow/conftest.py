"""Tiny campaigns, run by Snakemake as a user would run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "rules"))
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))


def tiny_config(**changes: Any) -> dict[str, Any]:
    """The smallest campaign that passes through every rule."""
    em3d = {"n_classes": [2], "seeds": 2, "online_epochs": 0, "full_iterations": 3}
    return {
        "campaign": "tiny",
        "particles": "data/particles.star",
        "filter_resolution": 24,
        "runs": {"em3d": em3d},
    } | changes


class Place:
    """A folder with particles, where campaigns run."""

    def __init__(self, folder: Path) -> None:
        """The folder; `data/` in it holds the particles."""
        self.folder, self.snakefile = folder, ROOT / "Snakefile"

    def command(self, config: dict[str, Any], *arguments: str) -> list[str]:
        """A Snakemake command line for a configuration, which is written to a file."""
        path = self.folder / f"{config.get('campaign', 'unnamed')}.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile)]
        return [*command, "--configfile", path.name, "--cores", "2", *arguments]

    def snakemake(
        self, config: dict[str, Any], *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; stdout holds all it said."""
        return subprocess.run(
            self.command(config, *arguments),
            cwd=self.folder,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def jobs(self, config: dict[str, Any], **environment: str) -> set[str]:
        """Rules that a dry run says it would run."""
        done = self.snakemake(config, "--dry-run", environment=environment)
        assert done.returncode == 0, done.stdout
        _, _, table = done.stdout.partition("Job stats:")
        rows = (line.split() for line in table.partition("total")[0].splitlines())
        return {row[0] for row in rows if len(row) == 2 and row[1].isdigit()}


@pytest.fixture(scope="session")
def particles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 300 simulated particles of 48 pixels."""
    folder = tmp_path_factory.mktemp("particles")
    script = ROOT / "workflow" / "scripts" / "demo.py"
    subprocess.run([sys.executable, script, "simulate", folder, "300"], check=True)
    return folder


@pytest.fixture
def place(tmp_path: Path, particles: Path) -> Place:
    """A fresh folder with its own copy of the particles."""
    shutil.copytree(particles, tmp_path / "data")
    return Place(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """A folder in which the tiny campaign has run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(particles, folder / "data")
    made = Place(folder)
    done = made.snakemake(tiny_config())
    assert done.returncode == 0, done.stdout
    return made
