"""The report as one self-contained page, and its figures one by one."""

import dataclasses

from emjax.campaign.job import job
from emjax.io.files import write_json, write_text
from emjax.report.alone import verdict_of
from emjax.report.campaign import Campaign
from emjax.report.page import render_report, write_figures

with job(snakemake) as work:
    page, config = work.folder.report, snakemake.params.config
    write_text(page, render_report(work.folder, config))
    verdict = verdict_of(Campaign(work.folder, config))
    write_json(work.folder.verdict, dataclasses.asdict(verdict))
    write_figures(work.folder, config)
    work.say(f"{verdict.badge}: {verdict.headline}")
    work.say(f"{page} ({page.stat().st_size / 1e6:.1f} MB) opens in any browser, also offline")
