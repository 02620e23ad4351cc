"""What a campaign was: options, versions, checksums, seeds, devices, and where the time went."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import CampaignFolder
from emjax.campaign.origin import checksum_of
from emjax.io.files import read_json, read_tsv
from emjax.io.labels.read import read_labels
from emjax.machine import commit, machine

MEASURED = {"seconds": "s", "cpu_seconds": "cpu_time", "max_rss_mb": "max_rss"}
PACKAGES = ("emjax", "equinox", "jax", "jaxlib", "numpy", "pandas", "scikit-learn", "scipy")
OF_RUN = ("run", "method", "n_classes", "seed", "log_likelihood")


def campaign_record(
    folder: CampaignFolder, runs: Sequence[str], config: dict[str, Any], emjax_version: str
) -> dict[str, Any]:
    """All that repeats a finished campaign or stand-alone job, and what it took."""
    checksum, n_particles = _input(folder, config)
    # Label files alone have no folder of a run.
    records = [] if config["job"] == "consensus" else [folder.run(run).metrics for run in runs]
    metrics = list(map(read_json, records))
    elbows = read_json(folder.consensus.elbows) if folder.consensus.elbows.exists() else {}
    versions = {name: version(name) for name in (*PACKAGES, "snakemake")}
    return {
        "config": config,
        "emjax_version": emjax_version,
        "commit": commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions | {"python": platform.python_version()},
        "input_checksum": checksum,
        "n_particles": n_particles,
        "devices": sorted({device for m in metrics for device in m.get("devices", [])}),
        "runs": [{key: m.get(key) for key in OF_RUN} for m in metrics],
        "consensus": elbows,
        "rules": job_times(folder, elbows.get("chosen", 0)),
    }


def _input(folder: CampaignFolder, config: dict[str, Any]) -> tuple[str | None, int | None]:
    """Checksum and number of the particles; jobs that prepare none count what they read."""
    for path in (folder.prepare.facts, folder.reconstruct.facts):
        if path.exists():
            facts = PreparedFacts.read(path)
            return facts.checksum, facts.n_particles
    summary = read_json(folder.rebalance.summary) if folder.rebalance.summary.exists() else {}
    number = summary.get("n_particles")
    if number is None and (labelled := folder.consensus.particles.star).exists():
        number = len(read_labels(labelled)[0])
    return checksum_of(config["particles"]), number


def job_times(folder: CampaignFolder, n_classes: int) -> dict[str, dict[str, float]]:
    """Time and memory of every job, in the order in which they ended."""
    times = {}
    for path in sorted(folder.benchmarks.glob("*.tsv"), key=_ended):
        # An earlier consensus may have had more classes.
        job, _, number = path.stem.rpartition("_")
        if job == "reconstruct_class" and n_classes and int(number) > n_classes:
            continue
        table = read_tsv(path)
        times[path.stem] = {name: _last(table, column) for name, column in MEASURED.items()}
    return times


def _last(table: pd.DataFrame, column: str) -> float:
    # Snakemake writes NA for a very short job.
    return float(np.asarray(pd.to_numeric(table[column], errors="coerce"), float)[-1])


def _ended(path: Path) -> float:
    return path.stat().st_mtime
