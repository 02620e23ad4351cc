"""Which classes are firm: those that pass every test. The others, with what they miss."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from emjax.report.campaign import Campaign
from emjax.report.columns import truths
from emjax.report.figure import percent, plural
from emjax.report.held_out import evidence, supported
from emjax.report.number import recommended_number

UNSTABLE = 0.7  # mean stability of a class below which it is named
RESAMPLED = 0.8  # share of the resamplings that must hold a class
BLIND = 0.2  # of the mass: where only larger differences could be found, nothing found says little


class Miss(NamedTuple):
    """A test that a class fails: which, how it is said of one class, and what of it is its own."""

    test: str  # may be said of several classes with `own` of each in place of {}
    own: str

    def of(self, own: str) -> str:
        """The sentence about one or several classes."""
        return self.test.replace("{}", own)


def misses(campaign: Campaign) -> dict[int, list[Miss]]:
    """What each consensus class misses; empty lists for firm ones."""
    found: dict[int, list[Miss]] = {c: [] for c in campaign.class_numbers}
    significant, distinct = (truths(campaign.stability, n) for n in ("significant", "distinct"))
    stability, resampled = campaign.by_class("mean_stability"), campaign.by_class("resampled")
    nearest = campaign.by_class("nearest")
    for row, c in enumerate(campaign.class_numbers):
        own = found[c]
        if campaign.unreplicated:
            own.append(Miss("no other run has it, so nothing tests whether it is chance", ""))
        elif stability.get(c, 1.0) < UNSTABLE:
            own.append(Miss(_MOVES, f"{stability[c]:.3g}"))
        if resampled.get(c, 1.0) < RESAMPLED and not campaign.unreplicated:
            own.append(Miss(_RESAMPLED, percent(resampled[c], 1)))
        tested = "significant" in campaign.stability and not campaign.unreplicated
        if tested and not significant[row]:
            own.append(Miss("no larger than unrelated runs would make it", ""))
        if "distinct" in campaign.stability and not distinct[row] and len(found) > 1:
            by = str(campaign.stability["distinct_by"].iloc[row])
            own.append(Miss(_ALIKE.get(by, _NOT_SPARE), f"{nearest[c]:.0f}"))
    return found


_MOVES = f"particles move between classes from run to run (stability {{}}, below {UNSTABLE:g})"
_RESAMPLED = "found in only {} of the resamplings of runs and particles"
_ALIKE = {
    "images": "held-out particles do not distinguish it from class {}",
    "runs": "joined with class {} by most runs that had classes to spare",
}
_NOT_SPARE = "perhaps part of class {}: no run had classes to spare, to leave the two together"


def shortfalls(campaign: Campaign) -> dict[int, list[str]]:
    """What each consensus class misses, in words; empty lists for firm ones."""
    return {c: [m.of(m.own) for m in own] for c, own in misses(campaign).items()}


def firmness(found: dict[int, list[Miss]]) -> str:
    """`3 firm, 1 uncertain`; empty where all are firm."""
    uncertain = sum(map(bool, found.values()))
    if not uncertain:
        return ""
    firm = len(found) - uncertain
    return f"{firm} firm, {uncertain} uncertain" if firm else "none of them firm"


def uncertain_sentences(found: dict[int, list[Miss]]) -> Iterator[str]:
    """Uncertain classes, those together that miss the same."""
    same: dict[tuple[str, ...], list[int]] = {}
    for c, own in found.items():
        if own:
            same.setdefault(tuple(m.test for m in own), []).append(c)
    for tests, classes in same.items():
        name = "Class" if len(classes) == 1 else "Classes"
        verb = "is" if len(classes) == 1 else "are"
        own = [[found[c][i].own for c in classes] for i in range(len(tests))]
        why = "; ".join(
            test.replace("{}", _in_turn(values)) for test, values in zip(tests, own, strict=True)
        )
        yield f"{name} {', '.join(map(str, classes))} {verb} uncertain: {why}."


def _in_turn(values: list[str]) -> str:
    """One value where all have the same, else each in the order of the classes."""
    several = dict.fromkeys(values)
    if len(several) == 1:
        return values[0]
    return f"{', '.join(values[:-1])} and {values[-1]} in turn"


def spread_of_number(campaign: Campaign) -> str:
    """`, 3 to 5 classes where runs and particles are resampled`; empty where always the same."""
    low, high = (campaign.elbows.get(f"recommended_{end}") for end in ("low", "high"))
    used = campaign.elbows.get("chosen_by", "auto") == "auto"
    if not used or not isinstance(low, int) or not isinstance(high, int) or low == high:
        return ""
    return f", {low} to {high} classes where runs and particles are resampled"


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
        return (
            "No held-out particles were asked (runs.subspace and runs.em3d.evidence_seeds do); "
            "seeds alone may miss what they would show."
        )
    if fraction >= 1:
        return (
            "With so few particles, or so little signal in them, held-out particles could not have "
            "shown any difference."
        )
    return (
        "Two equally frequent states that differ by less than about "
        f"{_rounded(100 * fraction)} % of the particle's mass would not have been found with so "
        "many particles at this resolution; rarer states must differ by more."
    )


def detectable(campaign: Campaign) -> float | None:
    """Smallest difference that held-out particles could show, of the particle's mass."""
    value = evidence(campaign).get("detectable_fraction")
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def blind(campaign: Campaign) -> float | None:
    """The same where only differences larger than `BLIND` could be found; nothing says little."""
    least = detectable(campaign)
    return least if least is not None and least > BLIND else None


def _rounded(value: float) -> str:
    return f"{value:.1g}" if value < 10 else f"{value:.0f}"
