"""The campaign's report as one self-contained page."""

from pathlib import Path

from _job import job

from emjax.io.atomic import write_text
from emjax.report.page import render_report

with job(snakemake) as work:
    page = Path(snakemake.output[0])
    write_text(page, render_report(page.parent, snakemake.params.config))
    work.say(f"{page} ({page.stat().st_size / 1e6:.1f} MB) opens in any browser, also offline")
