"""The table of the classes on top of the page: one row per class, sorted by any column."""

from dataclasses import dataclass

import numpy as np

from emjax.report.audit import flagged, say
from emjax.report.campaign import Campaign
from emjax.report.class_maps import Change, Shown
from emjax.report.columns import column, truths
from emjax.report.figure import percent
from emjax.report.firm import RESAMPLED, UNSTABLE
from emjax.report.quality import class_resolution
from emjax.report.svg import number


@dataclass(frozen=True)
class Cell:
    """What a cell says, and the number that its column is sorted by (None: last)."""

    text: str
    value: float | None


@dataclass(frozen=True)
class Summary:
    """Columns, and the cells of each class by its number."""

    head: list[str]
    rows: dict[int, list[Cell]]


def summary(campaign: Campaign, shown: Shown) -> Summary | None:
    """The classes beside each other; None of a single class.

    Args:
        campaign: its files.
        shown: pictures of the classes, with their differences.
    """
    numbers = campaign.class_numbers
    if len(numbers) < 2 or not campaign.by_class("size"):
        return None
    columns = {
        "Particles": _sizes(campaign),
        "Share (95 % interval)": _shares(campaign),
        "Resolution (Å)": _resolutions(campaign),
        "Stability": {} if campaign.unreplicated else _plain(campaign, "mean_stability"),
        "Distinct from its nearest": _distinct(campaign),
        "Largest difference (Å³)": _changes(shown),
    }
    columns = {head: cells for head, cells in columns.items() if cells}
    if campaign.job != "reconstruct":
        columns["Warnings"] = _warnings(campaign)
    nothing = Cell("–", None)
    return Summary(
        list(columns), {c: [cells.get(c, nothing) for cells in columns.values()] for c in numbers}
    )


def _sizes(campaign: Campaign) -> dict[int, Cell]:
    return {c: Cell(number(size), size) for c, size in campaign.by_class("size").items()}


def _shares(campaign: Campaign) -> dict[int, Cell]:
    total = max(int(campaign.takes_part.sum()), 1)
    low, high = campaign.by_class("occupancy_low"), campaign.by_class("occupancy_high")
    found = {}
    for c, size in campaign.by_class("size").items():
        text, ends = percent(size, total), np.array([low.get(c, np.nan), high.get(c, np.nan)])
        if np.isfinite(ends).all():
            text += f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})"
        found[c] = Cell(text, size / total)
    return found


def _resolutions(campaign: Campaign) -> dict[int, Cell]:
    found = {}
    for c in campaign.class_numbers:
        table = campaign.table(campaign.maps.class_fsc(c))
        frequency, fsc = column(table, "frequency_per_angstrom"), column(table, "fsc")
        if frequency is not None and fsc is not None and len(fsc):
            value, falls = class_resolution(frequency, fsc)
            found[c] = Cell(f"{value:.1f}" if falls else f"{value:.1f} or better", value)
    return found


def _plain(campaign: Campaign, name: str) -> dict[int, Cell]:
    values = campaign.by_class(name).items()
    return {c: Cell(f"{v:.2f}", v) for c, v in values if np.isfinite(v)}


def _distinct(campaign: Campaign) -> dict[int, Cell]:
    """Whether each class is another state than its nearest, and what says so."""
    table = campaign.stability
    if "distinct" not in table or "nearest" not in table:
        return {}
    nearest, gain = campaign.by_class("nearest"), campaign.by_class("held_out_gain")
    found = {}
    for c, yes in zip(campaign.by_class("nearest"), truths(table, "distinct"), strict=True):
        if not np.isfinite(nearest[c]):
            continue
        text = f"{'yes' if yes else 'no'}: class {nearest[c]:.0f}"
        value = gain.get(c, np.nan)
        if np.isfinite(value):
            text += f", {value:+,.0f} nats" if value else ", no gain"
        found[c] = Cell(text, value if np.isfinite(value) else float(yes))
    return found


def _changes(shown: Shown) -> dict[int, Cell]:
    changes = {c: pictures.change for c, pictures in shown.classes.items()}
    return {c: _change(change) for c, change in changes.items() if change is not None}


def _change(change: Change) -> Cell:
    if not change.above_noise:
        return Cell("none above the noise", 0.0)
    sign = "less" if change.value < 0 else "more"
    return Cell(f"{float(f'{change.size:.2g}'):,.0f} {sign}", change.size)


def _warnings(campaign: Campaign) -> dict[int, Cell]:
    """What each class misses and correlates with, in a word each."""
    found: dict[int, list[str]] = {c: [] for c in campaign.class_numbers}
    stability, resampled = campaign.by_class("mean_stability"), campaign.by_class("resampled")
    tests = {"significant": "not significant", "distinct": "not distinct"}
    if campaign.unreplicated:
        stability, resampled, tests = {}, {}, {"distinct": "not distinct"}
    for row, c in enumerate(found):
        found[c] += ["of one run only"] if campaign.unreplicated else []
        found[c] += ["unstable"] if stability.get(c, 1.0) < UNSTABLE else []
        found[c] += ["rarely found again"] if resampled.get(c, 1.0) < RESAMPLED else []
        for name, words in tests.items():
            table = campaign.stability
            found[c] += [words] if name in table and not truths(table, name)[row] else []
    hits = flagged(campaign)
    for c, nuisance in zip(hits["class"], hits["nuisance"], strict=True):
        if str(c).isdigit() and int(c) in found:
            found[int(c)].append(say(str(nuisance)))
    return {c: Cell(", ".join(why) or "none", float(len(why))) for c, why in found.items()}
