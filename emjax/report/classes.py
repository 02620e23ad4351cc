"""The consensus classes one by one: pictures, facts, warnings."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.report.campaign import Campaign, column
from emjax.report.figure import Figure, percent
from emjax.report.quality import fsc_figure, resolution_at, stability_figure
from emjax.report.raster import (
    central_slices,
    diverging,
    grey,
    png_uri,
    shaded_surface,
    shrink,
    surface_level,
)
from emjax.report.svg import number

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
    sizes = campaign.by_class("size")
    weights = np.array([max(sizes.get(c, 1.0), 1.0) for c in found])
    return np.average(np.stack(list(found.values())), axis=0, weights=weights)


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
        small = shrink(volume, 72)
        surface = png_uri(shaded_surface(small, surface_level(small)))
        look = _look(volume)
    facts, warnings = _facts(campaign, c)
    fsc = fsc_figure(campaign, c)
    stem = f"consensus/class_{c:03d}"
    names = [f"{stem}.mrc", f"{stem}_half1.mrc", f"{stem}_half2.mrc", f"{stem}_fsc.tsv"]
    links = [n for n in names if campaign.path(n)]
    return ClassCard(
        c,
        facts,
        pictures,
        differences,
        surface,
        look,
        links,
        warnings,
        fsc,
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
    row = (
        table[table["class"] == c].iloc[0] if "class" in table and c in set(table["class"]) else {}
    )
    particles = campaign.particles.get("rlnClassNumber", np.zeros(0))
    size = float(row.get("size", (particles == c).sum()))
    total = max(len(particles), 1)
    facts = [("Particles", f"{number(size)} ({percent(size, total)})")]
    warnings = []
    low, high = row.get("occupancy_low"), row.get("occupancy_high")
    if low is not None and size < total and high is not None and np.isfinite([low, high]).all():
        facts.append(("Occupancy, 95 % interval", f"{100 * low:.1f} to {100 * high:.1f} %"))
    fsc = campaign.table(f"consensus/class_{c:03d}_fsc.tsv")
    if not fsc.empty:
        frequency = np.asarray(column(fsc, "frequency_per_angstrom"))
        resolution = resolution_at(frequency, np.asarray(column(fsc, "fsc")))
        text = (
            f"{resolution:.1f} Å"
            if np.isfinite(resolution)
            else f"{1 / frequency[-1]:.1f} Å or better"
        )
        facts.append(("Resolution (FSC 0.143)", text))
    mean = row.get("mean_stability")
    if mean is not None and np.isfinite(mean):
        facts.append(("Mean stability", f"{mean:.2f} of 1"))
        if mean < 0.7:
            warnings.append("Its particles change class between runs (mean stability below 0.7).")
    q = row.get("q_value")
    alone = len(campaign.class_numbers) == 1
    if q is not None and np.isfinite(q) and not alone:
        facts.append(("q-value", number(float(q))))
        if q >= campaign.fdr:
            warnings.append("Not larger than chance would make it, at the chosen rate.")
    if row.get("representative") is not None and not alone:
        facts.append(("Most alike input class", str(row["representative"])))
    return facts, warnings
