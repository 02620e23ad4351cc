"""The consensus classes: pictures, sizes with intervals, resolution, stability."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign, column
from emjax.report.figure import Figure, percent, plural
from emjax.report.raster import (
    central_slices,
    diverging,
    grey,
    png_uri,
    shaded_surface,
    shrink,
    surface_level,
)
from emjax.report.svg import Chart, colour, number

DIRECTIONS = ("along z", "along y", "along x")
SLICE_BOX = 128  # slices wider than this are averaged down
SURFACE_BOX = 40  # of the 3D look: 64 kB a class


@dataclass(frozen=True)
class ClassCard:
    """All that is shown of one consensus class."""

    number: int
    facts: list[tuple[str, str]]
    slices: list[tuple[str, str]]  # name, picture
    differences: list[tuple[str, str]]
    surface: str
    volume: dict[str, Any] | None  # decimated, for the 3D look
    links: list[str]
    warnings: list[str]
    fsc: Figure | None
    stability: Figure | None


def resolution_at(frequency: np.ndarray, fsc: np.ndarray, threshold: float = 0.143) -> float:
    """Resolution in Å where the FSC first falls below the threshold; NaN where it never does."""
    below = np.flatnonzero(fsc < threshold)
    if not below.size or below[0] == 0:
        return float("nan")
    i = int(below[0])
    f0, f1, c0, c1 = frequency[i - 1], frequency[i], fsc[i - 1], fsc[i]
    return 1 / (f0 + (f1 - f0) * (c0 - threshold) / max(c0 - c1, 1e-12))


def class_cards(campaign: Campaign) -> list[ClassCard]:
    """One card a class, pictures on a common scale."""
    numbers = campaign.class_numbers
    maps = {c: campaign.volume(f"consensus/class_{c:03d}.mrc") for c in numbers}
    found = {c: item[0] for c, item in maps.items() if item is not None}
    mean = _mean_map(found, campaign)
    slices = {c: central_slices(v) for c, v in found.items()}
    middle = central_slices(mean) if mean is not None else []
    everything = np.concatenate([s.ravel() for group in slices.values() for s in group] or [[0.0]])
    low, high = np.quantile(everything, [0.01, 0.997])
    gaps = [np.abs(a - b) for group in slices.values() for a, b in zip(group, middle, strict=True)]
    limit = float(np.quantile(np.concatenate([g.ravel() for g in gaps]), 0.995)) if gaps else 1.0
    shared = (float(low), float(high), limit)
    return [_card(campaign, c, found.get(c), slices.get(c), middle, shared) for c in numbers]


def _mean_map(found: dict[int, np.ndarray], campaign: Campaign) -> np.ndarray | None:
    """Mean of the class maps, weighted by their particles."""
    if not found:
        return None
    sizes = _by_class(campaign, "size")
    weights = np.array([max(sizes.get(c, 1.0), 1.0) for c in found])
    return np.average(np.stack(list(found.values())), axis=0, weights=weights)


def _by_class(campaign: Campaign, *names: str) -> dict[int, float]:
    values, classes = column(campaign.stability, *names), column(campaign.stability, "class")
    if values is None or classes is None:
        return {}
    return {int(c): float(v) for c, v in zip(classes, values, strict=True)}


def _card(
    campaign: Campaign,
    c: int,
    volume: np.ndarray | None,
    slices: list[np.ndarray] | None,
    middle: list[np.ndarray],
    shared: tuple[float, float, float],
) -> ClassCard:
    low, high, limit = shared
    step = 1 if volume is None else -(-volume.shape[0] // SLICE_BOX)
    pictures, differences, surface, look = [], [], "", None
    if volume is not None and slices is not None:
        for name, s, m in zip(DIRECTIONS, slices, middle, strict=True):
            pictures.append((name, png_uri(grey(_thin(s, step), low, high))))
            differences.append((name, png_uri(diverging(_thin(s - m, step), limit))))
        small = shrink(volume, 64)
        surface = png_uri(shaded_surface(small, surface_level(small)))
        look = _look(volume)
    facts, warnings = _facts(campaign, c)
    fsc = fsc_figure(campaign, c)
    stem = f"consensus/class_{c:03d}"
    names = [f"{stem}.mrc", f"{stem}_half1.mrc", f"{stem}_half2.mrc", f"{stem}_fsc.tsv"]
    links = [n for n in names if campaign.path(n)]
    return ClassCard(
        c, facts, pictures, differences, surface, look, links, warnings, fsc,
        stability_figure(campaign, c),
    )


def _thin(image: np.ndarray, step: int) -> np.ndarray:
    if step == 1:
        return image
    n = image.shape[0] // step
    return image[: n * step, : n * step].reshape(n, step, n, step).mean(axis=(1, 3))


def _look(volume: np.ndarray) -> dict[str, Any]:
    """The map as bytes for the 3D look: smaller, 0..255, with a first surface level."""
    small = shrink(volume, SURFACE_BOX)
    low, high = float(small.min()), float(small.max())
    scaled = (255 * (small - low) / max(high - low, 1e-12)).astype(np.uint8)
    side = scaled.shape[0]
    return {
        "box": side,
        "level": int(np.clip(surface_level(scaled.astype(float)), 1, 254)),
        "uri": png_uri(scaled.reshape(side * side, side)),
    }


def _facts(campaign: Campaign, c: int) -> tuple[list[tuple[str, str]], list[str]]:
    """What is known of a class in numbers, and what to distrust about it."""
    table = campaign.stability
    row = table[table["class"] == c].iloc[0] if "class" in table and c in set(table["class"]) else {}
    particles = campaign.particles.get("rlnClassNumber", np.zeros(0))
    size = float(row.get("size", (particles == c).sum()))
    total = max(len(particles), 1)
    facts = [("Particles", f"{number(size)} ({percent(size, total)})")]
    warnings = []
    low, high = row.get("occupancy_low"), row.get("occupancy_high")
    if low is not None and high is not None and np.isfinite([low, high]).all():
        facts.append(("Occupancy, 95 % interval", f"{100 * low:.1f} to {100 * high:.1f} %"))
    fsc = campaign.table(f"consensus/class_{c:03d}_fsc.tsv")
    if not fsc.empty:
        frequency = np.asarray(column(fsc, "frequency_per_angstrom"))
        resolution = resolution_at(frequency, np.asarray(column(fsc, "fsc")))
        text = f"{resolution:.1f} Å" if np.isfinite(resolution) else f"{1 / frequency[-1]:.1f} Å or better"
        facts.append(("Resolution (FSC 0.143)", text))
    mean = row.get("mean_stability")
    if mean is not None and np.isfinite(mean):
        facts.append(("Mean stability", f"{mean:.2f} of 1"))
        if mean < 0.7:
            warnings.append("Its particles change class between runs (mean stability below 0.7).")
    q = row.get("q_value")
    if q is not None and np.isfinite(q):
        facts.append(("q-value", number(float(q))))
        if q >= campaign.fdr:
            warnings.append("Not larger than chance would make it, at the chosen rate.")
    if row.get("representative") is not None:
        facts.append(("Most alike input class", str(row["representative"])))
    return facts, warnings


def fsc_figure(campaign: Campaign, c: int) -> Figure | None:
    """Fourier shell correlation of a class's half-maps."""
    table = campaign.table(f"consensus/class_{c:03d}_fsc.tsv")
    if table.empty:
        return None
    frequency, fsc = np.asarray(column(table, "frequency_per_angstrom")), np.asarray(column(table, "fsc"))
    resolution = resolution_at(frequency, fsc)
    chart = Chart((0, float(frequency.max())), (-0.1, 1.05), height=260, label=f"FSC of class {c}")
    marks = [float(frequency.max()) * part for part in (0.25, 0.5, 0.75, 1)]
    named = [(f, f"{1 / f:.3g}") for f in marks]
    chart.axes("resolution (Å)", "agreement of half-maps (FSC)", named)
    chart.rule(y=0.143, name="0.143")
    chart.line(frequency.tolist(), fsc.tolist(), c - 1)
    for f, value in zip(frequency, fsc, strict=True):
        chart.dot(f, value, f"{1 / f:.1f} Å: FSC {value:.3f}", c - 1, 2.5)
    found = f"{resolution:.1f} Å" if np.isfinite(resolution) else "the pixel size's limit"
    return Figure(
        f"fsc-class-{c}", f"Half-maps of class {c} agree to {found}", chart.svg(),
        "Two maps from two halves of the particles, compared shell by shell; 1 is identical. "
        "Where the curve falls below 0.143 the map stops being reproducible.", table,
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
    chart = Chart((0, 1), (0, float(counts.max()) * 1.08), height=260, label=f"Stability of class {c}")
    chart.axes("stability of a particle (0: random, 1: same in every run)", "particles")
    for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
        tip = f"{count:,} particles with stability {a:.2f} to {b:.2f}"
        chart.bar(a + 0.004, b - 0.004, 0, count, tip, colour(c - 1))
    sure = int((values >= 0.8).sum())
    return Figure(
        f"stability-class-{c}",
        f"{percent(sure, values.size)} of class {c} stay together in nearly every run",
        chart.svg(),
        "Each particle's stability says how surely it belongs with its class over all runs. "
        "A peak at the right is a firm class; a broad hill is a border the data do not draw.",
        pd.DataFrame({"stability_from": edges[:-1], "stability_to": edges[1:], "particles": counts}),
    )


def occupancy_figure(campaign: Campaign) -> Figure | None:
    """Share of each class with its interval."""
    numbers = campaign.class_numbers
    size, total = _by_class(campaign, "size"), len(campaign.particles.get("rlnClassNumber", ()))
    if not numbers or not size or not total:
        return None
    low, high = _by_class(campaign, "occupancy_low"), _by_class(campaign, "occupancy_high")
    share = {c: 100 * size[c] / total for c in numbers}
    top = max([*share.values(), *(100 * v for v in high.values() if np.isfinite(v))]) * 1.08
    chart = Chart((0.4, len(numbers) + 0.6), (0, top), label="Occupancy of the classes")
    every = max(1, len(numbers) // 12)
    chart.axes("consensus class", "particles (%)", [(c, str(c)) for c in numbers[::every]])
    rows = []
    for c in numbers:
        a, b = 100 * low.get(c, np.nan), 100 * high.get(c, np.nan)
        span = f" (95 % interval {a:.1f} to {b:.1f} %)" if np.isfinite([a, b]).all() else ""
        tip = f"Class {c}: {number(size[c])} particles, {share[c]:.1f} %{span}"
        chart.bar(c - 0.38, c + 0.38, 0, share[c], tip, colour(c - 1))
        if span:
            x, y0, y1 = chart.px(c), chart.py(a), chart.py(b)
            chart.add("path", d=f"M{x:.1f} {y0:.1f}V{y1:.1f}m-5 0h10M{x - 5:.1f} {y0:.1f}h10", class_="error")
        rows.append({"class": c, "particles": size[c], "percent": share[c], "low": a, "high": b})
    largest = max(numbers, key=lambda c: share[c])
    title = f"Class {largest} is the largest with {share[largest]:.0f} % of the particles"
    if len(numbers) == 1:
        title = f"One group holds {share[largest]:.0f} % of the particles"
    else:
        smallest = min(numbers, key=lambda c: share[c])
        title += f", class {smallest} the smallest with {share[smallest]:.0f} %"
    return Figure(
        "occupancy", title, chart.svg(),
        "Share of all particles; the thin bars are 95 % intervals from resampling particles and "
        "runs: shares whose intervals overlap may be equal.", pd.DataFrame(rows),
    )


def class_table(campaign: Campaign) -> tuple[list[str], list[list[str]]]:
    """stability.tsv as words for the overview table."""
    names = {
        "class": "Class", "size": "Particles", "mean_stability": "Mean stability",
        "recovered": "Recovered", "q_value": "q-value", "evidence": "Held-out gain",
    }
    table = campaign.stability
    present = [n for n in names if n in table]
    rows = [[number(float(row[n])) for n in present] for _, row in table.iterrows()]
    return [names[n] for n in present], rows


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
