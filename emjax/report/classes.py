"""The consensus classes one by one: pictures, facts, warnings."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.consensus.traces import parse_class
from emjax.report.campaign import Campaign
from emjax.report.class_maps import ClassPictures, Shown
from emjax.report.columns import column
from emjax.report.figure import Figure, percent, plural
from emjax.report.firm import shortfalls
from emjax.report.quality import class_resolution, stability_figure
from emjax.report.svg import small

SUFFIXES = (".star", ".cs")


@dataclass(frozen=True)
class ClassCard:
    """All that is shown of one consensus class."""

    number: int
    size: str
    kept: bool
    facts: list[tuple[str, str]]
    warnings: list[str]
    links: list[str]
    stability: Figure | None
    of: str  # what the slices go through
    pictures: ClassPictures | None


def kept_classes(campaign: Campaign) -> list[int]:
    """Classes whose particles are kept; all where none was picked."""
    return campaign.rebalance.get("keep") or campaign.class_numbers


def picking(campaign: Campaign) -> dict[str, Any] | None:
    """What page.js needs to pick classes; None where there is nothing to pick from."""
    if len(campaign.class_numbers) < 2:
        return None
    sizes = campaign.by_class("size")
    return {
        "size": {str(c): int(sizes.get(c, 0)) for c in campaign.class_numbers},
        "kept": kept_classes(campaign),
    }


def class_cards(campaign: Campaign, shown: Shown) -> list[ClassCard]:
    """One card per class.

    Args:
        campaign: its files.
        shown: pictures of the classes that have maps.
    """
    return [_card(campaign, c, shown) for c in campaign.class_numbers]


def _card(campaign: Campaign, c: int, shown: Shown) -> ClassCard:
    size, facts, warnings = _facts(campaign, c)
    maps = campaign.maps
    files = [campaign.class_map(c), *(maps.class_map(c, f"half{h}") for h in (1, 2))]
    files += [maps.class_fsc(c), *campaign.folder.consensus.class_particles(c).all(SUFFIXES)]
    return ClassCard(
        number=c,
        size=size,
        kept=c in kept_classes(campaign),
        facts=facts,
        warnings=warnings,
        links=[campaign.link(p) for p in files if p.is_file()],
        of=_sliced(campaign, c, shown),
        stability=None if len(campaign.class_numbers) == 1 else stability_figure(campaign, c),
        pictures=shown.classes.get(c),
    )


def _sliced(campaign: Campaign, c: int, shown: Shown) -> str:
    """What the slices of a class go through the middle of."""
    rows = campaign.representatives
    if rows.empty:
        return "the focus mask" if "focus" in shown.masks else "the particle"
    row = rows[rows["class"] == c].iloc[0]
    return f"its most similar input class, {row['class_of_run']} of {row['run']}"


def _facts(campaign: Campaign, c: int) -> tuple[str, list[tuple[str, str]], list[str]]:
    """How large a class is, what else is known in numbers, and what to distrust about it."""
    table = campaign.stability
    row = (
        table[table["class"] == c].iloc[0] if "class" in table and c in set(table["class"]) else {}
    )
    particles = campaign.particles.get("rlnClassNumber", np.zeros(0))
    size = float(row.get("size", (particles == c).sum()))
    total = max(int(campaign.takes_part.sum()), 1)
    of_these = "" if total == len(particles) else f" of {total:,}"
    alone = len(campaign.class_numbers) == 1
    facts = []
    warnings = [f"Uncertain: {why}." for why in shortfalls(campaign).get(c, []) if not alone]
    low, high = row.get("occupancy_low"), row.get("occupancy_high")
    if low is not None and size < total and high is not None and np.isfinite([low, high]).all():
        facts.append(("Occupancy, 95 % interval", f"{100 * low:.1f} to {100 * high:.1f} %"))
    fsc = campaign.table(campaign.maps.class_fsc(c))
    if not fsc.empty:
        frequency = np.asarray(column(fsc, "frequency_per_angstrom"))
        resolution, falls = class_resolution(frequency, np.asarray(column(fsc, "fsc")))
        text = f"{resolution:.1f} Å" if falls else f"{resolution:.1f} Å or better"
        facts.append(("Resolution (FSC 0.143)", text))
    mean = row.get("mean_stability")
    compared = not alone and not campaign.unreplicated
    if mean is not None and np.isfinite(mean) and compared:
        facts.append(("Mean stability", f"{mean:.2f} of 1"))
    q = row.get("q_value")
    if q is not None and np.isfinite(q) and compared:
        facts.append(("q-value against unrelated runs", small(float(q))))
    gain = row.get("held_out_gain")
    if gain is not None and np.isfinite(gain) and not alone:
        ends = f"{row['held_out_low']:.0f} to {row['held_out_high']:.0f}"
        text = f"{gain:.0f} nats ({ends})" if gain else "none"
        facts.append((f"Held-out gain over one class with {row['nearest']:.0f}", text))
    if row.get("representative") is not None and not alone:
        name = str(row["representative"])
        run, k = parse_class(name)
        facts.append(("Most similar input class", campaign.run_link(run, name, f"#class-{k}")))
    return f"{plural(int(size), 'particle')} ({percent(size, total)}{of_these})", facts, warnings
