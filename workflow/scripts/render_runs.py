"""A page for every run, linked from the campaign's report."""

from emjax.campaign.job import job
from emjax.io.files import write_text
from emjax.report.run_page import RunPages

with job(snakemake) as work:
    runs = snakemake.params.runs
    pages = RunPages(work.folder, runs)
    for done, run in enumerate(runs, 1):
        write_text(work.folder.run(run).report, pages.render(run))
        work.progress(done, len(runs), "pages of runs")
    work.say(f"{len(runs)} pages, one per run: {work.folder.run('<run>').report}")
