"""Classes of equal defocus, one run per seed."""

from emjax.classify.toy import sort_by_defocus

from emjax.campaign.job import job
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, runs_of, write_run

with job(snakemake) as work:
    prepared = read_prepared(work.folder.prepare)
    context = run_context(work, prepared, snakemake.params)
    for name in runs_of(snakemake.output.metrics):
        found = sort_by_defocus(prepared.table.defocus_u, name.n_classes, name.seed)
        write_run(work.folder.run(name), found, context)
