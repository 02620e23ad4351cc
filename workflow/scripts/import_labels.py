"""Another program's classes as a run of this campaign, row by row with its particles."""

from pathlib import Path

import numpy as np
from _job import job
from _prepared import read_unchecked

from emjax.io.atomic import write_json, write_npy
from emjax.io.join import join_labels
from emjax.io.particles import write_particles

with job(snakemake) as work:
    params, output = snakemake.params, snakemake.output
    run = params.run
    table = read_unchecked(snakemake.config["particles"])
    joined = join_labels(table, run["path"], run["key"], run["class_column"], params.on_mismatch)
    posteriors = joined.posteriors
    if posteriors is None:
        posteriors = np.eye(joined.labels.max() + 1, dtype=np.float32)[joined.labels]
        posteriors[joined.labels < 0] = 0
    columns = {
        "rlnClassNumber": joined.labels + 1,
        "rlnMaxValueProbDistribution": posteriors.max(1),
    }
    for path in map(Path, output.labels):
        write_particles(path, table, columns)
    write_npy(output.posteriors, posteriors.astype(np.float32))
    metrics = {
        "run": Path(output.metrics).parent.name,
        "method": "external",
        "n_classes": posteriors.shape[1],
        "emjax_version": params.emjax,
        "options": run,
        "class_sizes": np.bincount(joined.labels[joined.labels >= 0]),
    }
    write_json(output.metrics, metrics)
    assigned = int((joined.labels >= 0).sum())
    work.say(
        f"{assigned} of {table.n} particles in {metrics['n_classes']} classes,"
        f" found by {joined.joined_on}"
    )
