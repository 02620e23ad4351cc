"""The report of classes rebalanced alone: their affinity, superclasses and sizes."""

from collections.abc import Sequence

from emjax.report import extras
from emjax.report.campaign import Campaign
from emjax.report.figure import plural
from emjax.report.tab import Tab, Table
from emjax.report.verdict import Verdict


def report(campaign: Campaign) -> tuple[Verdict, Sequence[Tab]]:
    """Head and tabs of the page."""
    found = campaign.rebalance
    count = plural(found["n_superclasses"], "superclass", "superclasses")
    warnings = [found["warning"]] if found["warning"] else []
    head = Verdict("warn" if warnings else "found", "Rebalanced", f"{count} of given classes.")
    head.found.extend(extras.rebalance_notes(campaign))
    head.distrust.extend(warnings)
    rows = Table("The classes", *extras.rebalance_rows(campaign))
    lead = "Which classes show the same thing, and which particles are kept."
    figures = extras.affinity_figures(campaign)
    return head, [Tab("superclasses", "Superclasses", lead, figures=figures, tables=[rows])]
