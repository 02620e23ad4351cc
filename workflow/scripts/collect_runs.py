"""One row a run: what it was, how it went, how long it took."""

from pathlib import Path

import pandas as pd
from _job import job

from emjax.io.atomic import read_json, write_tsv

COLUMNS = [
    "run",
    "method",
    "n_classes",
    "seed",
    "iterations",
    "converged",
    "log_likelihood",
    "seconds",
]

with job(snakemake) as work:
    rows = []
    for path in map(Path, snakemake.input):
        metrics = read_json(path)
        rows.append({"run": path.parent.name} | {name: metrics.get(name) for name in COLUMNS[1:]})
    write_tsv(snakemake.output[0], pd.DataFrame(rows, columns=COLUMNS))
    settled = sum(bool(row["converged"]) for row in rows)
    work.say(f"{len(rows)} runs, {settled} of them converged")
