"""One row per run: what it was, how it went, how long it took."""

from emjax.campaign.job import job
from emjax.io.files import write_tsv
from emjax.jobs.consensus import tabulate_runs

with job(snakemake) as work:
    table = tabulate_runs(work.folder, snakemake.params.runs)
    write_tsv(work.folder.runs_table, table)
    converged = table["converged"].dropna().astype(bool)
    work.say(f"{len(table)} runs, {converged.sum()} of {len(converged)} of emjax's own converged")
