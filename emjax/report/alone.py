"""Reports of stand-alone jobs: the head and the tabs that each puts into the page's frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emjax.campaign.alone import job_of
from emjax.report import rebalance, reconstruct, som_alone
from emjax.report.campaign import Campaign
from emjax.report.tab import Tab
from emjax.report.verdict import Verdict, judge

# A job that is not here, such as consensus, has the campaign's page, whose empty tabs are left out.
JOBS: dict[str, Callable[[Campaign], tuple[Verdict, Sequence[Tab]]]] = {
    "rebalance": rebalance.report,
    "som": som_alone.report,
    "reconstruct": reconstruct.report,
}


@dataclass(frozen=True)
class JobReport:
    """What a stand-alone job shows; of the verdict, `found` and `advice` are whole sentences."""

    name: str
    verdict: Verdict
    tabs: Sequence[Tab]


def job_report(campaign: Campaign) -> JobReport | None:
    """The report of a stand-alone job; None where it has the campaign's page."""
    job = job_of(campaign.config)
    return JobReport(job, *JOBS[job](campaign)) if job in JOBS else None


def verdict_of(campaign: Campaign) -> Verdict:
    """The first words of the page, whichever it has."""
    found = job_report(campaign)
    return judge(campaign) if found is None else found.verdict
