"""What of Snakemake's words reaches the terminal."""

import logging

import pytest

from emjax.campaign.quiet import VERBOSE, hush


def said(on_cluster: bool = False, dryrun: bool = False) -> list[str]:
    """Messages that a hushed logger still shows."""
    shown: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.getMessage())  # type: ignore[method-assign]

    def default(record: logging.LogRecord) -> bool:
        return True

    default.dryrun = dryrun  # type: ignore[attr-defined]
    handler.addFilter(default)
    logger = logging.Logger("snakemake")
    logger.addHandler(handler)
    hush(logger, lambda: on_cluster)
    logger.info("Building DAG of jobs...")
    logger.error("Missing input files")
    logger.error("Error in rule", extra={"event": "job_error"})
    return shown


def test_only_what_stops_snakemake_is_shown():
    assert said() == ["Missing input files"]


def test_a_dry_run_and_a_cluster_show_everything(monkeypatch: pytest.MonkeyPatch):
    assert len(said(dryrun=True)) == len(said(on_cluster=True)) == 3
    monkeypatch.setenv(VERBOSE, "1")
    assert len(said()) == 3
