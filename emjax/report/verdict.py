"""The verdict: what was found, what to distrust, what to do next; in sentences."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emjax.audit.intensity import INTENSITY_SCALE
from emjax.audit.rigid_body import RIGID_BODY_MOTION
from emjax.consensus.traces import parse_class
from emjax.report.agreement import agreement_sentence, strangers
from emjax.report.audit import MATTERS, POSES, flagged, say
from emjax.report.campaign import Campaign, column, numbers, truths
from emjax.report.classes import kept_classes
from emjax.report.figure import percent, plural
from emjax.report.landscape import (
    SUBSPACE,
    evidence,
    evidence_verdicts,
    numbers_untried,
    supported,
)
from emjax.report.methods import JUDGED
from emjax.report.number import chosen_number, recommended_number
from emjax.report.quality import sentence_of_sizes

UNSTABLE = 0.7  # mean stability of a class below which it is named
START_APART = (
    "Lower runs.em3d.particles_per_reconstruction well below the number of particles, so that the "
    "first maps differ, and run again."
)
MOSTLY = 0.6  # share of each class that a stability to ask for must leave
DEAD = 0.005  # share of the particles below which a class of a run counts as dead


@dataclass
class Verdict:
    """`mood` (found, warn, nothing) colours the page's first box, `badge` heads it."""

    mood: str
    badge: str
    headline: str
    found: list[str] = field(default_factory=list)
    distrust: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def continuum(campaign: Campaign) -> bool:
    """Whether the consensus calls the differences gradual."""
    return campaign.elbows.get("verdict") == "continuum"


def significant_classes(campaign: Campaign) -> int:
    """Consensus classes whose q-value is below the false-discovery rate."""
    if "significant" in campaign.stability:
        return int(truths(campaign.stability, "significant").sum())
    q = column(campaign.stability, "q_value", "q")
    if q is not None and np.isfinite(q).any():
        return int((q < campaign.fdr).sum())
    groups = campaign.intersections
    if "consensus_class" not in groups or "q_value" not in groups:
        return len(campaign.class_numbers)
    classes = numbers(groups, "consensus_class")
    return len(set(classes[(numbers(groups, "q_value") < campaign.fdr) & (classes > 0)]))


def unparted(campaign: Campaign) -> int:
    """Runs whose classes began with the same map: a tie gives all particles to the first one."""
    count = 0
    for metrics in campaign.metrics.values():
        first = (metrics.get("history") or [{}])[0]
        sizes, mass = (np.asarray(first.get(f"class_{n}", []), float) for n in ("sizes", "mass"))
        if sizes.size > 1 and mass.size == sizes.size and np.ptp(mass) < 1e-3 * mass.mean():
            count += int(sizes.max() == sizes.sum())
    return count


def judge(campaign: Campaign) -> Verdict:
    """The verdict on a campaign."""
    count, significant = len(campaign.class_numbers), significant_classes(campaign)
    best = recommended_number(campaign)
    rate = f"a false-discovery rate of {100 * campaign.fdr:g} %"
    hits = flagged(campaign)
    same = unparted(campaign)
    if same and same == len(campaign.run_names()):
        verdict = Verdict(
            "warn",
            "Not classified",
            "The classes of every run stayed one and the same: nothing was told apart.",
        )
        verdict.found.append(
            "This says nothing about the particles. All classes of a run began with the same map, "
            "and what is the same stays the same."
        )
        verdict.advice.append(START_APART)
    elif campaign.elbows.get("verdict") == "unreplicated":
        name = plural(count, "class", "classes")
        verdict = Verdict(
            "warn",
            "Not replicated",
            f"{name} of a single run: nothing replicates them yet.",
        )
        verdict.found.append("Run more seeds; what one run says alone cannot be told from chance.")
    elif continuum(campaign):
        verdict = Verdict(
            "warn",
            "No separate classes",
            "The particles differ gradually: no separate classes found.",
        )
        verdict.found.append(
            "The runs cut a continuum at different places. Any number of classes would be "
            "arbitrary, however similar the seeds look."
        )
        verdict.distrust.append(
            "Errors of the poses look like gradual motion. Unless the poses are known to be good, "
            "suspect them first."
        )
    elif min(count, best) <= 1 or significant <= 1:
        verdict = Verdict(
            "nothing",
            "Nothing found",
            "No reproducible classes: as far as these runs can tell, one state.",
        )
        verdict.found.append(
            f"Nothing beyond one group holding nearly everything passes {rate}. The classes of "
            "single runs are noise; do not interpret their maps."
        )
    else:
        verdict = Verdict("found", "Reproducible classes found", f"{sentence_of_sizes(campaign)}.")
        if len(hits) or strangers(campaign):
            verdict.mood, verdict.badge = "warn", "Found, but be careful"
        verdict.headline = verdict.headline.replace("classes", "reproducible classes", 1)
        verdict.found.append(
            f"{plural(significant, 'class', 'classes')} of {count} pass {rate}: so many particles "
            "would not have been put together so consistently by unrelated runs."
        )
    _add_reasons(verdict, campaign)
    _add_picked(verdict, campaign)
    _add_distrust(verdict, campaign, hits)
    if not verdict.advice:
        _add_advice(verdict, campaign, {say(str(nuisance)) for nuisance in hits["nuisance"]})
    return verdict


def _add_reasons(verdict: Verdict, campaign: Campaign) -> None:
    chosen, best = chosen_number(campaign), recommended_number(campaign)
    if chosen != best:
        verdict.found.append(
            f"You asked for {plural(chosen, 'class', 'classes')}; {best} would be recommended."
        )
    verdict.found.extend(evidence_verdicts(campaign))
    runs = len(campaign.run_names())
    if runs:
        text = f"Based on {plural(runs, 'run')}"
        agreement = agreement_sentence(campaign)
        if agreement:
            text += f"; {agreement}"
        seeds = len(campaign.table(campaign.folder.method(SUBSPACE).likelihood))
        if seeds:
            text += f"; the subspace runs stand for {seeds:,} seeds"
        resolution = campaign.preparation.get("filter_resolution") or campaign.config.get(
            "filter_resolution"
        )
        if resolution:
            text += f"; differences finer than {float(resolution):g} Å were not looked at"
        verdict.found.append(text + ".")


def _add_picked(verdict: Verdict, campaign: Campaign) -> None:
    picked = kept_classes(campaign)
    if len(picked) < len(campaign.class_numbers):
        kept = int(campaign.rebalance["kept"])
        name = "class" if len(picked) == 1 else "classes"
        verdict.found.append(
            f"You keep {name} {', '.join(map(str, picked))}: {plural(kept, 'particle')}, in "
            f"{campaign.link(campaign.folder.rebalance.kept.star)}."
        )


def _add_distrust(verdict: Verdict, campaign: Campaign, hits) -> None:
    # Classes of single runs that follow noise may follow anything.
    for nuisance, rows in () if verdict.mood == "nothing" else hits.groupby("nuisance", sort=False):
        verdict.distrust.append(_doubt(say(str(nuisance)), rows))
    held_out = supported(campaign)
    if held_out is not None and held_out < len(campaign.class_numbers):
        verdict.distrust.append(
            f"Particles set aside support {plural(held_out, 'class', 'classes')} only; the further "
            "ones fit the particles they were made from and no others."
        )
    verdict.distrust += numbers_untried(campaign)
    verdict.distrust += [
        f"The poses: classes of {words} follow their error. Refine them, or let subspace runs "
        "allow for it (subspace.pose_error: auto)."
        for method, words in JUDGED.items()
        if evidence(campaign, method).get("follows_poses")
    ]
    apart = strangers(campaign)
    if apart:
        verdict.distrust.append(
            f"Runs of {apart[0]} and of {apart[1]} have nothing in common (agreement near 0): they "
            "sort the particles by different things, views and states for example. Put them into "
            "campaigns of their own."
        )
    stability, classes = (
        column(campaign.stability, "mean_stability"),
        column(campaign.stability, "class"),
    )
    if stability is not None and classes is not None and verdict.mood != "nothing":
        weak = [int(c) for c, s in zip(classes, stability, strict=True) if s < UNSTABLE]
        if weak:
            names = ", ".join(map(str, weak))
            verdict.distrust.append(
                f"Particles of class {names} move between classes from run to run."
            )
    particles = campaign.particles.get("emjaxStability")
    if particles is not None and len(particles) and verdict.mood != "nothing":
        loose = int((particles < 0.5).sum())
        if loose > 0.02 * len(particles):
            verdict.distrust.append(
                f"{loose:,} particles ({percent(loose, len(particles))}) belong to no class for "
                "more than half of the evidence (stability below 0.5)."
            )
    same = unparted(campaign)
    if 0 < same < len(campaign.run_names()):
        verdict.distrust.append(
            f"In {plural(same, 'run')} all classes stayed one and the same; they say nothing. "
            + START_APART
        )
    dead = _dead_classes(campaign)
    if dead and verdict.mood != "nothing":
        verdict.distrust.append(
            f"{plural(dead, 'class', 'classes')} of single runs died "
            "(under 0.5 % of the particles)."
        )
    # Other programs do not say whether they converged.
    said = campaign.runs["converged"].dropna() if "converged" in campaign.runs else ()
    late = sum(str(value).lower() in ("false", "0", "0.0") for value in said)
    if late:
        verdict.distrust.append(
            f"{plural(late, 'run')} of {len(said)} had not converged when the iterations ran out."
        )


def _doubt(nuisance: str, rows: pd.DataFrame) -> str:
    """Why a nuisance that goes with classes matters."""
    named = [str(c) for c in dict.fromkeys(rows["class"])]
    # Classes of a single run are called em3d-K04-s001.2.
    runs, numbers_of_run = zip(*map(parse_class, named), strict=True)
    names = ("class " if len(named) == 1 else "classes ") + ", ".join(map(str, numbers_of_run))
    names += f" of {runs[0]}" if runs[0] else ""
    effect = float(np.nanmax(np.abs(numbers(rows, "effect_size"))))
    if nuisance == RIGID_BODY_MOTION:
        return (
            f"A small movement of the whole molecule explains up to {100 * effect:.0f} % of the "
            f"difference map of {names}: particles are sorted by the error of their pose, not by "
            "their state."
        )
    if nuisance == INTENSITY_SCALE:
        return (
            f"A change of brightness of the whole explains up to {100 * effect:.0f} % of the "
            f"difference map of {names}: ice, contrast or the normalisation of the images sorted "
            "these particles, not their state."
        )
    verb = "goes" if len(named) == 1 else "go"
    return (
        f"{names.capitalize()} {verb} with {nuisance} (effect {effect:.2f}; {MATTERS} and more is "
        "a warning). Such classes come out of every seed and may still be artefacts, of pose "
        "errors for example."
    )


def _dead_classes(campaign: Campaign) -> int:
    dead = 0
    for metrics in campaign.metrics.values():
        rows = metrics.get("history") or []
        sizes = np.asarray(rows[-1].get("class_sizes", []) if rows else [], float)
        if sizes.size > 1 and sizes.sum():
            dead += int((sizes / sizes.sum() < DEAD).sum())
    return dead


def _add_advice(verdict: Verdict, campaign: Campaign, confounders: set[str]) -> None:
    if verdict.mood == "nothing":
        verdict.advice += [
            "Refine all particles together; there is no reason to split them.",
            "If you expect a small difference (a ligand, a subunit), try a focus mask around it "
            "(masks.focus) or a finer filter_resolution, and more particles.",
        ]
        return
    if confounders & set(POSES):
        verdict.advice.append(
            "Refine the poses first (a local angular refinement), then run the campaign again: "
            "real classes stay, pose artefacts change or vanish."
        )
    elif confounders:
        verdict.advice.append(
            f"Look into {' and '.join(sorted(confounders))}: refine the CTF, normalise the images "
            "(scale: optimal) or leave out the particles in question, then run the campaign again. "
            "Real classes stay."
        )
    if continuum(campaign):
        verdict.advice.append(
            "Refine the poses again (local angular search) and repeat the campaign. If the "
            "differences stay, use a method for continuous motion, or cut the continuum on "
            "purpose with consensus.n_classes."
        )
        return
    particles = campaign.link(campaign.folder.consensus.particles.star)
    verdict.advice += [
        "Look at the difference maps below: is each where biology would put it?",
        f"Refine each class by itself from {particles} "
        "(rlnClassNumber), half-sets kept, poses free.",
    ]
    verdict.advice.extend(_cleanest(campaign))


def _cleanest(campaign: Campaign) -> list[str]:
    """The highest stability to ask of particles that leaves most of every class, if any does."""
    stability, labels = (
        campaign.particles.get(name) for name in ("emjaxStability", "rlnClassNumber")
    )
    if stability is None or labels is None:
        return []
    for least in (0.8, 0.7, 0.6, 0.5):
        kept = [stability[labels == c] > least for c in campaign.class_numbers]
        if kept and min(k.mean() if k.size else 0.0 for k in kept) >= MOSTLY:
            shares = [percent(k.sum(), k.size) for k in kept]
            left = [
                f"{s} of class {c}" for s, c in zip(shares, campaign.class_numbers, strict=True)
            ]
            return [
                f"For the cleanest maps keep only particles with emjaxStability above {least:g}; "
                f"that leaves {', '.join(left)}."
            ]
    return []
