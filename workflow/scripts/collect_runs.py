"""One row a run: what it was, how it went, how long it took."""

from pathlib import Path

import pandas as pd
from _job import job

from emjax.io.files import read_json, write_tsv

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
    # A run without a seed, another program's, must not turn those of the others into floats.
    whole = dict.fromkeys(("n_classes", "seed", "iterations"), "Int64")
    write_tsv(snakemake.output[0], pd.DataFrame(rows, columns=COLUMNS).astype(whole))
    known = [row["converged"] for row in rows if row["converged"] is not None]
    work.say(f"{len(rows)} runs, {sum(known)} of {len(known)} of emjax's own converged")
