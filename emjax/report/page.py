"""One self-contained page about a campaign: opens offline, prints, asks nothing of a network."""

from pathlib import Path
from typing import Any

from emjax.campaign.alone import CAMPAIGN
from emjax.campaign.folder import CampaignFolder
from emjax.report import (
    affinity,
    agreement,
    aside,
    assignments,
    audit,
    classes,
    convergence,
    extras,
    fits,
    flow,
    gallery,
    held_out,
    history,
    landscape,
    number,
    origin,
    provenance,
    publish,
    quality,
    som,
    starts,
    views,
)
from emjax.report.alone import job_report
from emjax.report.campaign import Campaign
from emjax.report.class_maps import ClassMaps, Shown
from emjax.report.figure import Figure
from emjax.report.frame import Frame, asset
from emjax.report.history import MOST_STEPS
from emjax.report.intersections import intersections_figure, intersections_tab
from emjax.report.job_warnings import warnings_table
from emjax.report.methods import JUDGED
from emjax.report.summary import summary
from emjax.report.svg import alone
from emjax.report.tab import Tab
from emjax.report.verdict import Verdict, judge


def all_figures(campaign: Campaign) -> dict[str, list[Figure]]:
    """Every figure the campaign's files allow, by the part of the page it stands in."""
    if job := job_report(campaign):
        return {tab.key: list(tab.figures) for tab in job.tabs}
    best = assignments.best_run(campaign)
    groups = {
        "classes": [
            quality.occupancy_figure(campaign) if len(campaign.class_numbers) > 1 else None,
            quality.resolution_figure(quality.consensus_curves(campaign)),
            views.views_figure(campaign),
        ],
        "number": [
            number.dendrogram_figure(campaign),
            number.cost_figure(campaign),
            *(held_out.evidence_figure(campaign, method) for method in JUDGED),
        ],
        "runs": [
            agreement.agreement_figure(campaign),
            starts.starts_figure(campaign),
            agreement.likelihood_figure(campaign),
            flow.flow_figure(campaign),
            convergence.convergence_figure(campaign, "log_likelihood"),
            convergence.convergence_figure(campaign, "switched"),
            assignments.ess_figure(campaign, best),
            assignments.mass_figure(campaign, best),
            history.flow_diagram(best or "", campaign.metrics.get(best or "", {}), MOST_STEPS),
        ],
        "landscape": [
            landscape.landscape_figure(campaign),
            held_out.components_figure(campaign),
            landscape.seed_figure(campaign),
            landscape.optima_figure(campaign),
        ],
        "particles": [*fits.fit_figures(campaign), *origin.origin_figures(campaign)],
        "som": som.som_figures(campaign, som.best_map(campaign)),
        "maps": affinity.affinity_figures(campaign),
        "audit": [audit.confounder_figure(campaign), extras.noise_figure(campaign)],
    }
    if campaign.job == "consensus":
        groups["intersections"] = [intersections_figure(campaign)]
    return {key: [f for f in found if f is not None] for key, found in groups.items()}


def _tabs(
    campaign: Campaign, figures: dict[str, list[Figure]], cards: list, runs: list
) -> list[Tab]:
    several = len(cards) > 1
    there = {"classes": cards, "runs": runs, "provenance": True}
    every = [
        Tab(
            "classes",
            "Classes" if several else "The map",
            "What the classes look like, how large and how sure each is."
            if several
            else "The map of all particles together.",
        ),
        Tab("number", "How many", "Why this number of classes, and what another would give."),
        Tab(
            "runs",
            "Runs",
            (
                "How far the labellings agree."
                if campaign.job == "consensus"
                else "Whether runs from different random starts agree, and what ended each."
            ),
        ),
        Tab("landscape", "Landscape", "The particles in the space of their largest differences."),
        Tab(
            "particles",
            "Particles",
            "How well each particle fits, which have no class and why, and what they look like.",
        ),
        Tab("som", "Images", "The self-organising map of the images, node by node."),
        Tab(
            "maps",
            "Superclasses",
            "Which classes look alike, and which particles are kept.",
        ),
        Tab(
            "audit",
            "Trust",
            "Whether something other than the molecule explains the classes.",
            tables=warnings_table(campaign),
        ),
        Tab("provenance", "Provenance", "Everything needed to repeat this campaign."),
    ]
    return [tab for tab in every if figures.get(tab.key) or tab.tables or there.get(tab.key)]


def render_report(folder: CampaignFolder, config: dict) -> str:
    """The report of a finished campaign or stand-alone job as one HTML text.

    Args:
        folder: the campaign's.
        config: the options it was run with.
    """
    campaign = Campaign(folder, config)
    if job := job_report(campaign):
        several = any(tab.key == "classes" for tab in job.tabs)
        shown = ClassMaps(campaign).shown() if several else Shown({})
        cards = classes.class_cards(campaign, shown) if several else []
        last = Tab("provenance", "Provenance", "Everything needed to repeat this job.")
        nothing: dict[str, Any] = {
            "picking": None,
            "tree": None,
            "run_rows": [],
            "notes": {},
            "run_pages": False,
        }
        nothing |= {"shown": shown, "summary": summary(campaign, shown) if several else None}
        return _page(campaign, job.verdict, [*job.tabs, last], job=True, cards=cards, **nothing)
    shown = ClassMaps(campaign).shown()
    cards = classes.class_cards(campaign, shown)
    run_head, run_rows = provenance.run_table(campaign)
    super_head, super_rows = extras.rebalance_rows(campaign)
    tabs = _tabs(campaign, all_figures(campaign), cards, run_rows)
    if campaign.job == "consensus":
        tabs.insert(2, intersections_tab(campaign))
    return _page(
        campaign,
        judge(campaign),
        tabs,
        job=False,
        kept_file=campaign.link(folder.rebalance.kept.star),
        cards=cards,
        shown=shown,
        summary=summary(campaign, shown),
        picking=classes.picking(campaign) if campaign.job == CAMPAIGN else None,
        tree=number.tree_data(campaign),
        rules=number.rule_rows(campaign),
        reasons=number.reasons(campaign.elbows),
        why=number.why_heading(campaign),
        chosen=number.chosen_number(campaign),
        run_head=run_head,
        run_rows=run_rows,
        run_pages=any(folder.run(run).report.exists() for run in campaign.run_names()),
        notes={
            "maps": extras.rebalance_notes(campaign),
            "landscape": held_out.evidence_notes(campaign),
        },
        aside=aside.sentences(campaign),
        reason_rows=aside.reason_rows(campaign),
        bad_images=aside.bad_image_rows(campaign),
        groups=gallery.gallery(campaign),
        super_head=super_head,
        super_rows=super_rows,
    )


def _page(campaign: Campaign, verdict: Verdict, tabs: list[Tab], **parts: Any) -> str:
    """What the pages of campaigns and of jobs share."""
    return Frame().render(
        "page.html.j2",
        campaign=campaign,
        verdict=verdict,
        tabs=tabs,
        figures=all_figures(campaign),
        facts=provenance.facts(campaign),
        command=provenance.command(campaign),
        methods=publish.methods_paragraph(campaign),
        citation=publish.citation(campaign),
        deposition=publish.deposition(campaign),
        options=provenance.options(campaign.config),
        times=provenance.times(campaign),
        **parts,
    )


def write_figures(folder: CampaignFolder, config: dict, figures: Path | None = None) -> list[Path]:
    """Every figure as an SVG file of its own, for Snakemake's report.

    Args:
        folder: the campaign's.
        config: the options it was run with.
        figures: where the files go, if not where the campaign's folder has them.

    Returns:
        The files, one per figure.
    """
    campaign = Campaign(folder, config)
    figures = figures or folder.figures
    figures.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in [f for group in all_figures(campaign).values() for f in group]:
        path = figures / f"{figure.name}.svg"
        path.write_text(alone(figure, asset("chart.css")), encoding="utf-8")
        written.append(path)
    return written
