"""How large, how well resolved and how stable the classes are."""

import numpy as np
import pandas as pd

from emjax.report.agreement import strangers
from emjax.report.campaign import Campaign
from emjax.report.columns import column
from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import Chart, colour, dash, number, resolution_ticks
from emjax.resolution import FSC_THRESHOLD, resolution_at

KEYED = 4  # names beside each other in the key of a figure


def class_resolution(frequency: np.ndarray, fsc: np.ndarray) -> tuple[float, bool]:
    """Resolution in Å of a class, and whether its FSC falls below the threshold at all.

    Args:
        frequency: of shells 1, 2, … in 1/Å.
        fsc: of its half-maps in the same shells.
    """
    falls = bool((fsc < FSC_THRESHOLD).any())
    return resolution_at(np.append(1.0, fsc), 1 / float(frequency[0])), falls


def stability_figure(campaign: Campaign, c: int) -> Figure | None:
    """How surely the particles of a class belong to it over all runs."""
    particles = campaign.particles
    if campaign.unreplicated:
        return None
    if "emjaxStability" not in particles or "rlnClassNumber" not in particles:
        return None
    values = particles["emjaxStability"][particles["rlnClassNumber"] == c]
    if not values.size:
        return None
    counts, edges = np.histogram(values, bins=20, range=(0, 1))
    chart = Chart(
        (0, 1), (0, float(counts.max()) * 1.08), height=260, label=f"Stability of class {c}"
    )
    chart.axes("stability of a particle (0: random, 1: same in every run)", "particles")
    for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
        tip = f"{count:,} particles with stability {a:.2f} to {b:.2f}"
        chart.bar(a + 0.004, b - 0.004, 0, count, tip, colour(c - 1))
    sure = int((values >= 0.8).sum())
    title = f"{percent(sure, values.size)} of class {c} have a stability of 0.8 or more"
    if apart := strangers(campaign):
        title = (
            f"Half of class {c} have a stability of {np.median(values):.2f} or more; "
            f"{apart[0]} and {apart[1]}, which sort by different things, keep it low"
        )
    return Figure(
        f"stability-class-{c}",
        title,
        chart.svg(),
        "How consistently the runs keep each particle with its class, 1 in every run. "
        "A peak at the right is a class that the runs agree on, whatever made them; a broad hill "
        "is a border that they draw at different places.",
        pd.DataFrame(
            {"stability_from": edges[:-1], "stability_to": edges[1:], "particles": counts}
        ),
    )


def occupancy_figure(campaign: Campaign) -> Figure | None:
    """Share of each class with its interval."""
    numbers = campaign.class_numbers
    size, total = campaign.by_class("size"), int(campaign.takes_part.sum())
    if not numbers or not size or not total:
        return None
    low, high = campaign.by_class("occupancy_low"), campaign.by_class("occupancy_high")
    share = {c: 100 * size[c] / total for c in numbers}
    whose = "particles" if total == len(campaign.takes_part) else "particles that take part"
    top = max([*share.values(), *(100 * v for v in high.values() if np.isfinite(v))]) * 1.08
    chart = Chart((0.4, len(numbers) + 0.6), (0, top), label="Occupancy of the classes")
    every = max(1, len(numbers) // 12)
    kind = "class" if campaign.job == "reconstruct" else "consensus class"
    chart.axes(kind, "particles (%)", [(c, str(c)) for c in numbers[::every]])
    rows = []
    for c in numbers:
        a, b = 100 * low.get(c, np.nan), 100 * high.get(c, np.nan)
        span = f" (95 % interval {a:.1f} to {b:.1f} %)" if np.isfinite([a, b]).all() else ""
        tip = f"Class {c}: {number(size[c])} particles, {share[c]:.1f} %{span}"
        chart.bar(c - 0.38, c + 0.38, 0, share[c], tip, colour(c - 1))
        if span:
            x, y0, y1 = chart.px(c), chart.py(a), chart.py(b)
            chart.add(
                "path",
                d=f"M{x:.1f} {y0:.1f}V{y1:.1f}m-5 0h10M{x - 5:.1f} {y0:.1f}h10",
                class_="error",
            )
        rows.append({"class": c, "particles": size[c], "percent": share[c], "low": a, "high": b})
    largest = max(numbers, key=lambda c: share[c])
    title = f"Class {largest} is the largest with {share[largest]:.0f} % of the {whose}"
    if len(numbers) == 1:
        title = f"One group holds {share[largest]:.0f} % of the {whose}"
    else:
        smallest = min(numbers, key=lambda c: share[c])
        title += f", class {smallest} the smallest with {share[smallest]:.0f} %"
    return Figure(
        "occupancy",
        title,
        chart.svg(),
        f"Share of all {whose}"
        + (
            "; the thin bars are 95 % intervals from resampling particles and runs: shares whose "
            "intervals overlap may be equal."
            if high
            else "."
        ),
        pd.DataFrame(rows),
    )


def consensus_curves(campaign: Campaign) -> dict[int, pd.DataFrame]:
    """FSC of every consensus class that has one."""
    tables = {c: campaign.table(campaign.maps.class_fsc(c)) for c in campaign.class_numbers}
    return {c: t for c, t in tables.items() if not t.empty}


def curves_of_run(campaign: Campaign, name: str) -> dict[int, pd.DataFrame]:
    """FSC of every class of a run; none where it has no half-maps."""
    table = campaign.table(campaign.folder.run(name).fsc)
    classes = column(table, "class")
    if classes is None:
        return {}
    return {int(k): table.take(np.flatnonzero(classes == k)) for k in np.unique(classes)}


def resolution_figure(tables: dict[int, pd.DataFrame]) -> Figure | None:
    """FSC of all classes in one plot."""
    if not tables:
        return None
    curves = {
        c: (np.asarray(column(t, "frequency_per_angstrom")), np.asarray(column(t, "fsc")))
        for c, t in tables.items()
    }
    several = len(curves) > 1
    corrected = all("fsc_unmasked" in t for t in tables.values())
    top, rows = max(float(f.max()) for f, _ in curves.values()), -(-len(curves) // KEYED)
    chart = Chart(
        (0, top), (-0.1, 1.05), height=320 + 16 * rows * several,
        label="Resolution of the classes", top=18 + 16 * rows if several else 14,
    )  # fmt: skip
    chart.axes("resolution (Å)", "FSC of half-maps (masked)", resolution_ticks(top))
    chart.rule(y=FSC_THRESHOLD, name=f"{FSC_THRESHOLD}")
    if several:
        names = [(f"class {c}", colour(c - 1)) for c in curves]
        chart.legend(names, KEYED, [dash(c - 1) for c in curves])
    for c, (frequency, fsc) in curves.items():
        chart.line(frequency.tolist(), fsc.tolist(), colour(c - 1), stroke_dasharray=dash(c - 1))
        for f, value in zip(frequency, fsc, strict=True):
            chart.dot(f, value, f"Class {c}, {1 / f:.1f} Å: FSC {value:.3f}", colour(c - 1), 2.5)
    return Figure(
        "resolution",
        _resolution_title(curves),
        chart.svg(),
        "Two maps from two halves of the particles, compared shell by shell inside the solvent mask"
        + (", corrected for the mask by random phases" if corrected else "")
        + "; 1 is identical, below 0.143 nothing is reproducible."
        + (" Small classes end at coarser resolution." if several else ""),
        pd.concat([t.assign(**{"class": c}) for c, t in tables.items()]),
    )


def _resolution_title(curves: dict[int, tuple[np.ndarray, np.ndarray]]) -> str:
    found = {c: class_resolution(frequency, fsc) for c, (frequency, fsc) in curves.items()}
    known = {c: resolution for c, (resolution, falls) in found.items() if falls}
    if not known:
        whose = "every class" if len(curves) > 1 else "all particles"
        return f"The half-maps of {whose} agree to the limit of the pixel size"
    best, worst = min(known, key=lambda c: known[c]), max(known, key=lambda c: known[c])
    if len(curves) == 1:
        return f"The half-maps agree to {known[best]:.1f} Å (FSC 0.143)"
    title = f"Half-maps of class {best} agree to {known[best]:.1f} Å"
    if finer := [c for c in curves if c not in known]:
        others = "the others" if best == worst else f"{len(finer)} others"
        others = f"class {finer[0]}" if len(finer) == 1 else others
        return f"{title} (FSC 0.143), {others} to the limit of the pixel size"
    return f"{title}, of class {worst} to {known[worst]:.1f} Å (FSC 0.143)"


def sentence_of_sizes(campaign: Campaign) -> str:
    """`4 classes hold 7,602 of 8,000 particles`."""
    labels = campaign.particles.get("rlnClassNumber")
    count = len(campaign.class_numbers)
    if labels is None:
        return plural(count, "class", "classes")
    held = int((labels > 0).sum())
    verb = "holds" if count == 1 else "hold"
    name = plural(count, "class", "classes")
    return f"{name} {verb} {held:,} of {len(labels):,} particles ({percent(held, len(labels))})"
