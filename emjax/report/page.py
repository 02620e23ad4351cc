"""One self-contained page about a campaign: opens offline, prints, asks nothing of a network."""

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup

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
    landscape,
    number,
    origin,
    provenance,
    quality,
    som,
    starts,
)
from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, plural
from emjax.report.methods import JUDGED
from emjax.report.svg import alone
from emjax.report.verdict import judge

SCRIPTS = ("ui.js", "figures.js", "cut.js", "keep.js", "surface.js")
MOST_CSV = 400_000  # characters of one figure's table inside the page


@dataclass(frozen=True)
class Tab:
    """A part of the page that is there only when it has something to show."""

    key: str
    name: str
    lead: str


def asset(name: str) -> str:
    """Text of a file that is part of the page."""
    return (files("emjax.report") / "assets" / name).read_text(encoding="utf-8")


def embed(value: Any) -> Markup:
    """A value as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def csv_of(figure: Figure) -> str:
    """A figure's numbers as CSV, cut where a page should not carry them all."""
    text = figure.data.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    if len(text) <= MOST_CSV:
        return text
    kept = text[:MOST_CSV].rsplit("\n", 1)[0]
    return f"{kept}\n# cut here: {len(figure.data):,} rows in the campaign's files\n"


def all_figures(campaign: Campaign) -> dict[str, list[Figure]]:
    """Every figure the campaign's files allow, by the part of the page it stands in."""
    groups = {
        "classes": [quality.occupancy_figure(campaign), quality.resolution_figure(campaign)],
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
            convergence.ess_figure(campaign),
            convergence.mass_figure(campaign),
            flow.history_figure(campaign),
        ],
        "landscape": [
            landscape.landscape_figure(campaign),
            landscape.components_figure(campaign),
            landscape.seed_figure(campaign),
            landscape.optima_figure(campaign),
        ],
        "particles": [*fits.fit_figures(campaign), *origin.origin_figures(campaign)],
        "som": som.som_figures(campaign),
        "maps": extras.affinity_figures(campaign),
        "audit": [audit.confounder_figure(campaign), extras.noise_figure(campaign)],
    }
    return {key: [f for f in found if f is not None] for key, found in groups.items()}


def _tabs(figures: dict[str, list[Figure]], cards: list) -> list[Tab]:
    several = len(cards) > 1
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
    return [
        tab
        for tab in every
        if figures.get(tab.key) or tab.key == "provenance" or (tab.key == "classes" and cards)
    ]


def render_report(folder: CampaignFolder, config: dict) -> str:
    """The report of a finished campaign as one HTML text.

    Args:
        folder: the campaign's.
        config: the options it was run with.
    """
    campaign = Campaign(folder, config)
    cards = classes.class_cards(campaign)
    figures = all_figures(campaign)
    script = "\n".join(asset(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    run_head, run_rows = provenance.run_table(campaign)
    super_head, super_rows = extras.rebalance_rows(campaign)
    environment = Environment(
        loader=BaseLoader(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(embed=embed, csv=csv_of)
    environment.globals.update(plural=plural)
    page = environment.from_string(asset("page.html.j2"))
    return page.render(
        campaign=campaign,
        kept_file=campaign.link(folder.rebalance.kept.star),
        verdict=judge(campaign),
        cards=cards,
        figures=figures,
        tabs=_tabs(figures, cards),
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
        version=version("emjax"),
        style=Markup(asset("page.css")),
        chart_style=Markup(asset("chart.css")),
        script=Markup(script),
        digest=digest,
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
