"""Another program's classes as a run of this campaign, row by row with its particles."""

from pathlib import Path

import numpy as np
from _job import job
from _labels import write_labels
from _prepared import read_unchecked

from emjax.io.files import write_json
from emjax.io.labels.join import join_labels

with job(snakemake) as work:
    params, output = snakemake.params, snakemake.output
    run = params.run
    table = read_unchecked(snakemake.config["particles"])
    joined = join_labels(table, run["path"], run["key"], run["class_column"], params.on_mismatch)
    posteriors = joined.posteriors
    if posteriors is None:
        posteriors = np.eye(joined.labels.max() + 1, dtype=np.float32)[joined.labels]
        posteriors[joined.labels < 0] = 0
    folder = Path(output.metrics).parent
    suffixes = [Path(path).suffix for path in output.labels]
    write_labels(folder, table, joined.labels, posteriors, suffixes)
    metrics = {
        "run": folder.name,
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
