"""How large, how well resolved and how stable the classes are."""

import numpy as np
import pandas as pd

from emjax.report.agreement import strangers
from emjax.report.campaign import Campaign, column
from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import N_COLOURS, Chart, colour, number
from emjax.resolution import FSC_THRESHOLD, resolution_at


def class_resolution(frequency: np.ndarray, fsc: np.ndarray) -> tuple[float, bool]:
    """Resolution in Å of a class, and whether its FSC falls below the threshold at all.

    Args:
        frequency: of shells 1, 2, … in 1/Å.
        fsc: of its half-maps in the same shells.
    """
    falls = bool((fsc < FSC_THRESHOLD).any())
    return resolution_at(np.append(1.0, fsc), 1 / float(frequency[0])), falls


def fsc_figure(campaign: Campaign, c: int) -> Figure | None:
    """Fourier shell correlation of a class's half-maps."""
    table = campaign.table(campaign.maps.class_fsc(c))
    if table.empty:
        return None
    frequency, fsc = (
        np.asarray(column(table, "frequency_per_angstrom")),
        np.asarray(column(table, "fsc")),
    )
    resolution, falls = class_resolution(frequency, fsc)
    chart = Chart((0, float(frequency.max())), (-0.1, 1.05), height=260, label=f"FSC of class {c}")
    marks = [float(frequency.max()) * part for part in (0.25, 0.5, 0.75, 1)]
    named = [(f, f"{1 / f:.3g}") for f in marks]
    chart.axes("resolution (Å)", "agreement of half-maps (FSC)", named)
    chart.rule(y=FSC_THRESHOLD, name=f"{FSC_THRESHOLD}")
    chart.line(frequency.tolist(), fsc.tolist(), c - 1)
    for f, value in zip(frequency, fsc, strict=True):
        chart.dot(f, value, f"{1 / f:.1f} Å: FSC {value:.3f}", c - 1, 2.5)
    found = f"{resolution:.1f} Å" if falls else "the pixel size's limit"
    what = f"class {c}" if len(campaign.class_numbers) > 1 else "all particles"
    return Figure(
        f"fsc-class-{c}",
        f"Half-maps of {what} agree to {found}",
        chart.svg(),
        "Two maps from two halves of the particles, compared shell by shell; 1 is identical. "
        "Where the curve falls below 0.143 the map stops being reproducible.",
        table,
    )


def stability_figure(campaign: Campaign, c: int) -> Figure | None:
    """How surely the particles of a class belong to it over all runs."""
    particles = campaign.particles
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
    title = f"{percent(sure, values.size)} of class {c} stay together in nearly every run"
    if apart := strangers(campaign):
        title = (
            f"Half of class {c} have a stability of {np.median(values):.2f} or more; "
            f"{apart[0]} and {apart[1]}, which sort by different things, keep it low"
        )
    return Figure(
        f"stability-class-{c}",
        title,
        chart.svg(),
        "Each particle's stability says how surely it belongs with its class over all runs. "
        "A peak at the right is a firm class; a broad hill is a border the data do not draw.",
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
    """FSC of all classes in one plot; of a class alone there is another."""
    if len(tables) < 2:
        return None
    curves = {
        c: (np.asarray(column(t, "frequency_per_angstrom")), np.asarray(column(t, "fsc")))
        for c, t in tables.items()
    }
    top = max(float(f.max()) for f, _ in curves.values())
    named = len(curves) <= N_COLOURS
    chart = Chart(
        (0, top),
        (-0.1, 1.05),
        label="Resolution of the classes",
        top=18 + 16 * -(-len(curves) // 4) if named else 14,
    )
    marks = [top * part for part in (0.25, 0.5, 0.75, 1)]
    chart.axes(
        "resolution (Å)", "agreement of half-maps (FSC)", [(f, f"{1 / f:.3g}") for f in marks]
    )
    chart.rule(y=FSC_THRESHOLD, name=f"{FSC_THRESHOLD}")
    if named:
        chart.legend([f"class {c}" for c in curves])
    found = {}
    for c, (frequency, fsc) in curves.items():
        chart.line(frequency.tolist(), fsc.tolist(), c - 1)
        found[c] = class_resolution(frequency, fsc)
        for f, value in zip(frequency, fsc, strict=True):
            chart.dot(f, value, f"Class {c}, {1 / f:.1f} Å: FSC {value:.3f}", c - 1, 2.5)
    known = {c: resolution for c, (resolution, falls) in found.items() if falls}
    title = "The half-maps of every class agree to the limit of the pixel size"
    if known:
        best, worst = min(known, key=lambda c: known[c]), max(known, key=lambda c: known[c])
        title = f"Half-maps of class {best} agree to {known[best]:.1f} Å"
        title += (
            ", the others to the pixel size's limit"
            if best == worst
            else f", of class {worst} to {known[worst]:.1f} Å"
        )
    return Figure(
        "resolution",
        title,
        chart.svg(),
        "Two maps from two halves of a class's particles, compared shell by shell; 1 is identical, "
        "below 0.143 nothing is reproducible. Small classes end at coarser resolution.",
        pd.concat([t.assign(**{"class": c}) for c, t in tables.items()]),
    )


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
