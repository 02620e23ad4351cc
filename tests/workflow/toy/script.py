"""Classes of equal defocus, one run per seed."""

from emjax.classify.toy import sort_by_defocus

from emjax.campaign.job import job
from emjax.campaign.names import RunName
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, write_run

with job(snakemake) as work:
    prepared = read_prepared(work.folder.prepare)
    context = run_context(work, prepared, snakemake.params)
    for name in map(RunName.parse, snakemake.params.runs):
        found = sort_by_defocus(prepared.table.defocus_u, name.n_classes, name.seed)
        write_run(work.folder.run(name), found, context)
