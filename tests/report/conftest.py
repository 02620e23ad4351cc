"""Finished campaigns to report on."""

from pathlib import Path

import pytest

from tests.report.campaigns import make_campaign


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four states, six runs."""
    return make_campaign(tmp_path_factory.mktemp("campaign") / "demo")


@pytest.fixture(scope="session")
def null_campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state."""
    return make_campaign(tmp_path_factory.mktemp("campaign") / "null", kind="null")


@pytest.fixture(scope="session")
def jittered_campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reproducible classes that follow the viewing direction."""
    return make_campaign(tmp_path_factory.mktemp("campaign") / "jittered", kind="jittered")
