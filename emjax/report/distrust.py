"""What to distrust about a campaign, in sentences."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from emjax.audit.intensity import INTENSITY_SCALE
from emjax.audit.rigid_body import RIGID_BODY_MOTION
from emjax.consensus.traces import parse_class
from emjax.report.agreement import strangers
from emjax.report.audit import MATTERS, say
from emjax.report.campaign import Campaign
from emjax.report.columns import numbers
from emjax.report.figure import percent, plural
from emjax.report.held_out import evidence, numbers_untried, supported
from emjax.report.job_warnings import warnings_of
from emjax.report.methods import JUDGED

EMPTIED = 0.005  # share of the particles below which a class of a run counts as empty
START_APART = (
    "Lower runs.em3d.particles_per_reconstruction well below the number of particles, so that the "
    "first maps differ, and run again."
)


def doubts(campaign: Campaign, flagged: pd.DataFrame, nothing: bool) -> Iterator[str]:
    """All doubts, those about the input first, then those about the classes.

    Args:
        campaign: its files.
        flagged: rows of confounders.tsv that deserve a warning.
        nothing: whether no classes were found: what single runs say is then noise.
    """
    for doubt in campaign.input_doubts:
        yield f"The input: {doubt}."
    if not nothing:
        for nuisance, rows in flagged.groupby("nuisance", sort=False):
            yield _doubt(say(str(nuisance)), rows)
    if campaign.job == "consensus" and not nothing:
        yield (
            "No image was read: runs that share an error agree on it, and neither held-out "
            "particles nor an audit of views, defocus and poses says whether these do."
        )
    yield from _doubts_of_held_out(campaign)
    if apart := strangers(campaign):
        yield (
            f"Runs of {apart[0]} and of {apart[1]} have nothing in common (agreement near 0): they "
            "sort the particles by different things, views and states for example. Put them into "
            "campaigns of their own."
        )
    if not nothing:
        yield from _doubts_of_stability(campaign)
    yield from _doubts_of_runs(campaign, nothing)


def _doubts_of_held_out(campaign: Campaign) -> Iterator[str]:
    held_out = supported(campaign)
    if held_out is not None and held_out < len(campaign.class_numbers):
        yield (
            f"Held-out particles confirm {plural(held_out, 'class', 'classes')} only: a finer "
            "division does not explain particles that its maps were not made from."
        )
    yield from numbers_untried(campaign)
    for method, words in JUDGED.items():
        if evidence(campaign, method).get("follows_poses"):
            yield (
                f"The poses: classes of {words} follow their error. Refine them, or let subspace "
                "runs allow for it (pose_error: auto)."
            )


def _doubts_of_stability(campaign: Campaign) -> Iterator[str]:
    stability = campaign.particles.get("emjaxStability")
    if stability is None:
        return
    stability = stability[campaign.takes_part]
    loose = int((stability < 0.5).sum())
    if loose > 0.02 * len(stability):
        yield (
            f"{loose:,} particles ({percent(loose, len(stability))}) belong to no class for "
            "more than half of the evidence (stability below 0.5)."
        )


def _doubts_of_runs(campaign: Campaign, nothing: bool) -> Iterator[str]:
    same = unparted(campaign)
    if 0 < same < len(campaign.run_names()):
        yield (
            f"In {plural(same, 'run')} all classes stayed identical; they say nothing. "
            + START_APART
        )
    emptied = _emptied_classes(campaign)
    if emptied and not nothing:
        yield (
            f"{plural(emptied, 'class', 'classes')} of single runs emptied "
            "(under 0.5 % of the particles)."
        )
    # Other programs do not say whether they converged.
    said = campaign.runs["converged"].dropna() if "converged" in campaign.runs else ()
    late = sum(str(value).lower() in ("false", "0", "0.0") for value in said)
    if late:
        yield f"{plural(late, 'run')} of {len(said)} had not converged when the iterations ran out."
    if count := len(warnings_of(campaign)):
        verb = "stands" if count == 1 else "stand"
        yield (
            f"{plural(count, 'warning')} of runs and jobs {verb} in the part "
            '"Trust", below its figures.'
        )


def unparted(campaign: Campaign) -> int:
    """Runs whose classes began with the same map: a tie gives all particles to the first one."""
    count = 0
    for metrics in campaign.listed_metrics():
        first = (metrics.get("history") or [{}])[0]
        sizes, mass = (np.asarray(first.get(f"class_{n}", []), float) for n in ("sizes", "mass"))
        if sizes.size > 1 and mass.size == sizes.size and np.ptp(mass) < 1e-3 * mass.mean():
            count += int(sizes.max() == sizes.sum())
    return count


def _doubt(nuisance: str, rows: pd.DataFrame) -> str:
    """Why a nuisance that classes correlate with matters."""
    named = [str(c) for c in dict.fromkeys(rows["class"])]
    # Classes of a single run are called em3d-K04-s001.2.
    runs, numbers_of_run = zip(*map(parse_class, named), strict=True)
    names = ("class " if len(named) == 1 else "classes ") + ", ".join(map(str, numbers_of_run))
    names += f" of {runs[0]}" if runs[0] else ""
    effect = float(np.nanmax(np.abs(numbers(rows, "effect_size"))))
    if nuisance == RIGID_BODY_MOTION:
        return (
            f"A small rigid-body motion of the molecule explains up to {100 * effect:.0f} % of the "
            f"difference map of {names}: particles are sorted by the error of their pose, not by "
            "their state."
        )
    if nuisance == INTENSITY_SCALE:
        return (
            f"Another intensity scale explains up to {100 * effect:.0f} % of the "
            f"difference map of {names}: ice, contrast or the normalisation of the images sorted "
            "these particles, not their state."
        )
    verb = "correlates" if len(named) == 1 else "correlate"
    return (
        f"{names.capitalize()} {verb} with {nuisance} (effect {effect:.2f}; {MATTERS} and more is "
        "a warning). Such classes come out of every seed and may still be artefacts, of pose "
        "errors for example."
    )


def _emptied_classes(campaign: Campaign) -> int:
    emptied = 0
    for metrics in campaign.listed_metrics():
        rows = metrics.get("history") or []
        sizes = np.asarray(rows[-1].get("class_sizes", []) if rows else [], float)
        if sizes.size > 1 and sizes.sum():
            emptied += int((sizes / sizes.sum() < EMPTIED).sum())
    return emptied
