"""The campaign's report as one self-contained page, and its figures one by one."""

from pathlib import Path

from _job import job

from emjax.io.files import write_text
from emjax.report.page import render_report, write_figures

with job(snakemake) as work:
    page, config = Path(snakemake.output.page), snakemake.params.config
    write_text(page, render_report(page.parent, config))
    write_figures(page.parent, config, Path(snakemake.output.figures))
    work.say(f"{page} ({page.stat().st_size / 1e6:.1f} MB) opens in any browser, also offline")
