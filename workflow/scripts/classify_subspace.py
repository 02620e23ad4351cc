"""Every seed and number of classes inside the subspace; the best optima become runs."""

import time

from emjax.campaign.job import job
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, runs_of, write_run
from emjax.jobs.subspace import SubspaceSeeds

with job(snakemake) as work:
    params, start = snakemake.params, time.monotonic()
    prepared = read_prepared(work.folder.prepare)
    seeds = SubspaceSeeds(work, prepared, params.options, params.focus)
    kept, runs = list(seeds), runs_of(snakemake.output.metrics)
    seconds = (time.monotonic() - start) / len(kept)
    context = run_context(work, prepared, params, seconds=seconds)
    for name, optimum in zip(runs, kept, strict=True):
        write_run(work.folder.run(name), optimum.found, context)
    seeds.write(kept, list(map(str, runs)))
