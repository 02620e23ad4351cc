"""The report of given classes reconstructed alone: maps, sizes and resolutions."""

from collections.abc import Sequence

import numpy as np

from emjax.report import quality
from emjax.report.campaign import Campaign
from emjax.report.columns import column
from emjax.report.figure import plural
from emjax.report.tab import Tab
from emjax.report.verdict import Verdict
from emjax.report.views import views_figure

FEW = 100  # particles of a class below which its FSC says little


def report(campaign: Campaign) -> tuple[Verdict, Sequence[Tab]]:
    """Head and tabs of the page."""
    found = _resolutions(campaign)
    sizes, labels = campaign.by_class("size"), campaign.particles["rlnClassNumber"]
    best, worst = min(found.values()), max(found.values())
    span = f"{best:.1f} Å" if f"{best:.1f}" == f"{worst:.1f}" else f"{best:.1f} to {worst:.1f} Å"
    name = plural(len(sizes), "class", "classes")
    head = Verdict("found", "Reconstructed", f"{name} at {span} (FSC 0.143).")
    if without := int((labels == 0).sum()):
        head.found.append(f"{plural(without, 'particle')} of {len(labels):,} have no class.")
    if empty := sorted(set(range(1, max(sizes) + 1)) - set(sizes)):
        listed = ", ".join(map(str, empty))
        verb = "is" if len(empty) == 1 else "are"
        head.found.append(f"{'Class' if len(empty) == 1 else 'Classes'} {listed} {verb} empty.")
    particles = campaign.link(campaign.maps.particles.star)
    head.found.append(f"Half-sets, scales and classes of the particles are in {particles}.")
    prepared = campaign.preparation
    if drawn := prepared["n_particles"] - prepared["half_sets_given"]:
        seed = campaign.config["split_seed"]
        head.found.append(
            f"Half-sets of {plural(drawn, 'particle')} were drawn at random (split_seed {seed}): "
            "the file has none. Poses that were refined with both halves make the FSC optimistic."
        )
    small = [str(c) for c, size in sizes.items() if size < FEW]
    if small:
        name = "Class" if len(small) == 1 else "Classes"
        verb = "has" if len(small) == 1 else "have"
        head.distrust.append(
            f"{name} {', '.join(small)} {verb} fewer than {FEW} particles: the FSC says little."
        )
    head.distrust.extend(f"The input: {doubt}." for doubt in campaign.input_doubts)
    if head.distrust:
        head.mood, head.badge = "warn", "Reconstructed, with doubts"
    curves = quality.consensus_curves(campaign)
    figures = [
        quality.occupancy_figure(campaign),
        quality.resolution_figure(curves),
        views_figure(campaign),
    ]
    lead = "The map of each class from its own particles at full box; classes keep their numbers."
    tab = Tab("classes", "Classes", lead, figures=[f for f in figures if f is not None])
    return head, [tab]


def _resolutions(campaign: Campaign) -> dict[int, float]:
    """Resolution (Å) of each class."""
    found = {}
    for c in campaign.class_numbers:
        table = campaign.table(campaign.maps.class_fsc(c))
        frequency, fsc = (np.asarray(column(table, n)) for n in ("frequency_per_angstrom", "fsc"))
        found[c] = quality.class_resolution(frequency, fsc)[0]
    return found
