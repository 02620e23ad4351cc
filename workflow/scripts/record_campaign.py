"""What a campaign was: options, versions, checksums, seeds, devices, and where the time went."""

import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from _job import job

from emjax.io.files import read_json, read_tsv, write_json

MEASURED = {"seconds": "s", "cpu_seconds": "cpu_time", "max_rss_mb": "max_rss"}
PACKAGES = ["emjax", "equinox", "jax", "jaxlib", "numpy", "pandas", "scikit-learn", "scipy"]


def last(table: pd.DataFrame, column: str) -> float:
    """The last number of a benchmark's column; Snakemake writes NA for a very short job."""
    return float(np.asarray(pd.to_numeric(table[column], errors="coerce"), float)[-1])


def ended(path: Path) -> float:
    """When the job of a benchmark file ended."""
    return path.stat().st_mtime


with job(snakemake) as work:
    facts = read_json(snakemake.input.facts[0])
    metrics = [read_json(path) for path in snakemake.input.metrics]
    times = {}
    elbows = read_json(snakemake.input.elbows)
    for path in sorted(Path(snakemake.params.benchmarks).glob("*.tsv"), key=ended):
        # An earlier consensus may have had more classes.
        job, _, number = path.stem.rpartition("_")
        if job == "reconstruct_class" and int(number) > elbows["chosen"]:
            continue
        table = read_tsv(path)
        times[path.stem] = {name: last(table, column) for name, column in MEASURED.items()}
    record = {
        "config": snakemake.params.config,
        "emjax_version": snakemake.params.emjax,
        "versions": {name: version(name) for name in [*PACKAGES, "snakemake"]}
        | {"python": platform.python_version()},
        "input_checksum": facts["checksum"],
        "n_particles": facts["n_particles"],
        "devices": sorted({device for m in metrics for device in m.get("devices", [])}),
        "runs": [
            {key: m.get(key) for key in ("run", "method", "n_classes", "seed", "log_likelihood")}
            for m in metrics
        ],
        "consensus": elbows,
        "rules": times,
    }
    write_json(snakemake.output[0], record)
    work.say(f"{snakemake.output[0]}; make reproduce CAMPAIGN={snakemake.output[0]} runs it again")
