"""Every seed and number of classes inside the subspace; the best optima become runs."""

from emjax.campaign.job import job
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, write_run
from emjax.jobs.subspace import SubspaceSeeds

with job(snakemake) as work:
    params = snakemake.params
    prepared = read_prepared(work.folder.prepare)
    context = run_context(work, prepared, params)
    seeds = SubspaceSeeds(work, prepared, params.options, params.focus)
    kept = list(seeds)
    for name, optimum in zip(params.runs, kept, strict=True):
        write_run(work.folder.run(name), optimum.found, context)
    seeds.write(kept, params.runs)
