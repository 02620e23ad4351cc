"""Another program's classes as a run of this campaign, row by row with its particles."""

import numpy as np

from emjax.campaign.job import job
from emjax.classify.classification import Classification
from emjax.io.labels.join import join_labels
from emjax.jobs.prepared import read_unchecked
from emjax.jobs.run_files import RunContext, write_run

with job(snakemake) as work:
    params, run = snakemake.params, snakemake.params.run
    table = read_unchecked(snakemake.config["particles"])
    joined = join_labels(table, run["path"], run["key"], run["class_column"], params.on_mismatch)
    posteriors = joined.posteriors
    if posteriors is None:
        posteriors = np.eye(joined.labels.max() + 1, dtype=np.float32)[joined.labels]
        posteriors[joined.labels < 0] = 0
    found = Classification("external", joined.labels, posteriors)
    record = {"emjax_version": params.emjax, "options": run, "log": work.log.name}
    context = RunContext(table, np.arange(table.n), work.suffixes, record=record)
    write_run(work.folder.run(f"ext-{run['name']}"), found, context)
    assigned = int((joined.labels >= 0).sum())
    work.say(
        f"{assigned} of {table.n} particles in {found.n_classes} classes,"
        f" found by {joined.joined_on}"
    )
