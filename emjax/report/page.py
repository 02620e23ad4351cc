"""One self-contained page about a campaign: opens offline, prints, asks nothing of a network."""

from pathlib import Path

from emjax.campaign.folder import CampaignFolder
from emjax.report import (
    agreement,
    aside,
    audit,
    classes,
    convergence,
    extras,
    fits,
    flow,
    gallery,
    history,
    landscape,
    number,
    origin,
    provenance,
    quality,
    som,
    starts,
)
from emjax.report.campaign import Campaign
from emjax.report.figure import Figure
from emjax.report.frame import Frame, Tab, asset
from emjax.report.history import MOST_STEPS
from emjax.report.methods import JUDGED
from emjax.report.svg import alone
from emjax.report.verdict import judge


def all_figures(campaign: Campaign) -> dict[str, list[Figure]]:
    """Every figure the campaign's files allow, by the part of the page it stands in."""
    best = convergence.best_run(campaign)
    groups = {
        "classes": [
            quality.occupancy_figure(campaign),
            quality.resolution_figure(quality.consensus_curves(campaign)),
        ],
        "number": [
            number.dendrogram_figure(campaign),
            number.cost_figure(campaign),
            *(landscape.evidence_figure(campaign, method) for method in JUDGED),
        ],
        "runs": [
            agreement.agreement_figure(campaign),
            agreement.likelihood_figure(campaign),
            flow.flow_figure(campaign),
            starts.starts_figure(campaign),
            convergence.convergence_figure(campaign, "log_likelihood"),
            convergence.convergence_figure(campaign, "switched"),
            convergence.ess_figure(campaign, best),
            convergence.mass_figure(campaign, best),
            history.flow_diagram(best or "", campaign.metrics.get(best or "", {}), MOST_STEPS),
        ],
        "landscape": [
            landscape.landscape_figure(campaign),
            landscape.components_figure(campaign),
            landscape.seed_figure(campaign),
            landscape.optima_figure(campaign),
        ],
        "particles": [*fits.fit_figures(campaign), *origin.origin_figures(campaign)],
        "som": som.som_figures(campaign, som.best_map(campaign)),
        "maps": extras.affinity_figures(campaign),
        "audit": [audit.confounder_figure(campaign), extras.noise_figure(campaign)],
    }
    return {key: [f for f in found if f is not None] for key, found in groups.items()}


def _tabs(figures: dict[str, list[Figure]], cards: list, runs: list) -> list[Tab]:
    several = len(cards) > 1
    there = {"classes": cards, "runs": runs, "provenance": True}
    every = [
        Tab(
            "classes",
            "Classes" if several else "The map",
            "What the classes look like, how large and how sure each is.",
        ),
        Tab("number", "How many", "Why this number of classes, and what another would give."),
        Tab(
            "runs",
            "Runs",
            "Whether independent runs from different random starts agree.",
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
            "Which classes show the same thing, and which particles are kept.",
        ),
        Tab("audit", "Trust", "Whether something other than the molecule explains the classes."),
        Tab("provenance", "Provenance", "Everything needed to repeat this campaign."),
    ]
    return [tab for tab in every if figures.get(tab.key) or there.get(tab.key)]


def render_report(folder: CampaignFolder, config: dict) -> str:
    """The report of a finished campaign as one HTML text.

    Args:
        folder: the campaign's.
        config: the options it was run with.
    """
    campaign = Campaign(folder, config)
    cards = classes.class_cards(campaign)
    figures = all_figures(campaign)
    run_head, run_rows = provenance.run_table(campaign)
    super_head, super_rows = extras.rebalance_rows(campaign)
    return Frame().render(
        "page.html.j2",
        campaign=campaign,
        kept_file=campaign.link(folder.rebalance.kept.star),
        verdict=judge(campaign),
        cards=cards,
        figures=figures,
        tabs=_tabs(figures, cards, run_rows),
        picking=classes.picking(campaign),
        tree=number.tree_data(campaign),
        rules=number.rule_rows(campaign),
        reasons=number.reasons(campaign.elbows),
        why=number.why_heading(campaign),
        recommended=number.recommended_number(campaign),
        chosen=number.chosen_number(campaign),
        run_head=run_head,
        run_rows=run_rows,
        notes={
            "maps": extras.rebalance_notes(campaign),
            "landscape": landscape.evidence_notes(campaign),
        },
        aside=aside.sentences(campaign),
        reason_rows=aside.reason_rows(campaign),
        bad_images=aside.bad_image_rows(campaign),
        groups=gallery.gallery(campaign),
        super_head=super_head,
        super_rows=super_rows,
        facts=provenance.facts(campaign),
        options=provenance.options(config),
        times=provenance.times(campaign),
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
        path.write_text(
            alone(str(figure.drawing), figure.title, asset("chart.css")), encoding="utf-8"
        )
        written.append(path)
    return written
