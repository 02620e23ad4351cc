"""Folders in which tiny campaigns run, or have run."""

import shutil
from pathlib import Path

import pytest

from tests.campaigns import Place, long_config, tiny_config


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """Two seeds classified in one batch without a break."""
    place = Place(tmp_path_factory.mktemp("whole"))
    (place.folder / "data").symlink_to(particles)
    done = place.snakemake(long_config(2), "--until", "classify_em3d_s000")
    assert done.returncode == 0, done.stdout
    return place
