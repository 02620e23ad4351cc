"""Shared by all tests: shapes and types are checked, the large test data is found or skipped."""

import subprocess
import sys
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("emjax", "beartype.beartype")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder beside the repository that holds the development data sets."""
    folder = ROOT.parent / "shared"
    if not (folder / "data" / "README.md").exists():
        pytest.skip(f"development data not found: {folder.name}/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def particles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 300 simulated particles of 48 pixels."""
    folder = tmp_path_factory.mktemp("particles")
    command = [sys.executable, "-m", "emjax.simulate.demo", str(folder), "300"]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder
