"""Which classes are firm: those that pass every test. The others, with what they miss."""

from collections.abc import Iterator

import numpy as np

from emjax.report.campaign import Campaign, truths
from emjax.report.figure import percent, plural
from emjax.report.landscape import evidence, supported
from emjax.report.number import recommended_number

UNSTABLE = 0.7  # mean stability of a class below which it is named
RESAMPLED = 0.8  # share of the resamplings that must hold a class


def shortfalls(campaign: Campaign) -> dict[int, list[str]]:
    """What each consensus class misses; empty lists for firm ones."""
    found: dict[int, list[str]] = {c: [] for c in campaign.class_numbers}
    significant, distinct = (truths(campaign.stability, n) for n in ("significant", "distinct"))
    stability, resampled = campaign.by_class("mean_stability"), campaign.by_class("resampled")
    nearest = campaign.by_class("nearest")
    for row, c in enumerate(campaign.class_numbers):
        own = found[c]
        if stability.get(c, 1.0) < UNSTABLE:
            own.append(
                f"its stability, {stability[c]:.2f}, says that particles move between classes from"
                " run to run"
            )
        if resampled.get(c, 1.0) < RESAMPLED:
            share = percent(resampled[c], 1)
            own.append(f"found in only {share} of the resamplings of runs and particles")
        if "significant" in campaign.stability and not significant[row]:
            own.append("no larger than unrelated runs would make it")
        if "distinct" in campaign.stability and not distinct[row] and len(found) > 1:
            own.append(_alike(campaign, row, int(nearest[c])))
    return found


def _alike(campaign: Campaign, row: int, nearest: int) -> str:
    """Why a class may be no other state than its nearest."""
    by = str(campaign.stability["distinct_by"].iloc[row])
    if by == "images":
        return f"not told from class {nearest} by held-out particles"
    if by == "runs":
        return f"joined with class {nearest} by most runs that had classes to spare"
    return (
        f"perhaps part of class {nearest}: no run had classes to spare, to leave the two together"
    )


def firmness(misses: dict[int, list[str]]) -> str:
    """`3 firm, 1 uncertain`; empty where all are firm."""
    uncertain = sum(map(bool, misses.values()))
    if not uncertain:
        return ""
    firm = len(misses) - uncertain
    return f"{firm} firm, {uncertain} uncertain" if firm else "none of them firm"


def uncertain_sentences(misses: dict[int, list[str]]) -> Iterator[str]:
    """Uncertain classes, those together that miss the same."""
    same: dict[tuple[str, ...], list[int]] = {}
    for c, why in misses.items():
        if why:
            same.setdefault(tuple(why), []).append(c)
    for why, classes in same.items():
        name = "Class" if len(classes) == 1 else "Classes"
        verb = "is" if len(classes) == 1 else "are"
        named = ", ".join(map(str, classes))
        yield f"{name} {named} {verb} uncertain: {'; '.join(why)}."


def spread_of_number(campaign: Campaign) -> str:
    """` (3 to 5 where runs and particles are resampled)`; empty where always the same number."""
    low, high = (campaign.elbows.get(f"recommended_{end}") for end in ("low", "high"))
    used = campaign.elbows.get("chosen_by", "auto") == "auto"
    if not used or not isinstance(low, int) or not isinstance(high, int) or low == high:
        return ""
    return f" ({low} to {high} where runs and particles are resampled)"


def number_against_evidence(campaign: Campaign) -> str:
    """Where held-out particles ask for more classes than the runs agree on."""
    asked, count = supported(campaign), recommended_number(campaign)
    agreed = campaign.elbows.get("verdict", "classes") in ("classes", "one")
    if asked is None or asked <= count or not agreed:
        return ""
    return (
        f"Held-out particles ask for {plural(asked, 'class', 'classes')}, the runs agree on "
        f"{count}: {asked - count} more would explain particles that no map has seen, but no "
        "division into them is the same in every run. More seeds, or runs with more classes, may "
        "find it."
    )


def power_sentence(campaign: Campaign) -> str:
    """How small a difference would have been found, where none was."""
    fraction = detectable(campaign)
    if fraction is None and supported(campaign) is not None:
        return "How small a difference held-out particles could have shown is not known here."
    if fraction is None:
        return "No held-out particles were asked; seeds alone may miss what they would show."
    if fraction >= 1:
        return "Held-out particles could not have shown any difference: there are too few of them."
    return (
        "Two equally frequent states that differ by less than about "
        f"{_rounded(100 * fraction)} % of the particle's mass would not have been found with so "
        "many particles at this resolution."
    )


def detectable(campaign: Campaign) -> float | None:
    """Smallest difference that held-out particles could show, of the particle's mass."""
    value = evidence(campaign).get("detectable_fraction")
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _rounded(value: float) -> str:
    return f"{value:.1g}" if value < 10 else f"{value:.0f}"
