"""The verdict: what was found, what to distrust, what to do next; in sentences."""

from dataclasses import dataclass, field

import numpy as np

from emjax.audit.rigid_body import RIGID_BODY_MOTION
from emjax.report.advice import advise, continuum
from emjax.report.agreement import (
    RAND,
    agreement_matrix,
    agreement_sentence,
    seed_agreement,
    strangers,
)
from emjax.report.aside import sentences
from emjax.report.audit import flagged, say
from emjax.report.campaign import Campaign
from emjax.report.classes import kept_classes
from emjax.report.columns import column, numbers, truths
from emjax.report.distrust import START_APART, doubts, unparted
from emjax.report.figure import plural
from emjax.report.firm import (
    blind,
    firmness,
    misses,
    number_against_evidence,
    power_sentence,
    spread_of_number,
    uncertain_sentences,
)
from emjax.report.held_out import evidence_verdicts, supported
from emjax.report.methods import SUBSPACE
from emjax.report.number import chosen_number, recommended_number, spaced
from emjax.report.quality import sentence_of_sizes

PARTLY = 0.3  # agreement of seeds from which on they share part of their divisions


@dataclass
class Verdict:
    """`mood` (found, warn, nothing) colours the page's first box, `badge` heads it."""

    mood: str
    badge: str
    headline: str
    found: list[str] = field(default_factory=list)
    distrust: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


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


def judge(campaign: Campaign) -> Verdict:
    """The verdict on a campaign."""
    count, significant = len(campaign.class_numbers), significant_classes(campaign)
    best = recommended_number(campaign)
    rate = f"a false-discovery rate of {100 * campaign.fdr:g} %"
    hits, nothing = flagged(campaign), False
    nuisances = {say(str(nuisance)) for nuisance in hits["nuisance"]}
    same = unparted(campaign)
    if same and same == len(campaign.run_names()):
        verdict = Verdict(
            "warn",
            "Not classified",
            "The classes of every run stayed identical: nothing was separated.",
        )
        verdict.found.append(
            "This says nothing about the particles. All classes of a run began with the same map, "
            "and what is the same stays the same."
        )
        verdict.advice.append(START_APART)
    elif campaign.unreplicated:
        name = plural(count, "class", "classes")
        verdict = Verdict(
            "warn",
            "Not replicated",
            f"{name} of a single run: nothing replicates them yet.",
        )
        verdict.found.append(
            "Every run fits noise as well as states: nothing says yet that another seed would find "
            "the same classes."
        )
        verdict.advice.append(
            "Run more seeds (runs.em3d.seeds), or add the labels of another program "
            "(runs.external), before any class is refined."
        )
    elif continuum(campaign) and RIGID_BODY_MOTION in nuisances:
        verdict = Verdict(
            "warn",
            "No separate classes",
            "No separate classes: what differs gradually looks like the error of the poses.",
        )
        verdict.found.append(
            "A small rigid-body motion explains most of what single runs find. Whether there are "
            "states beneath it, this campaign cannot say."
        )
    elif continuum(campaign):
        verdict = Verdict(
            "warn",
            "No separate classes",
            "The particles differ gradually: no separate classes found.",
        )
        verdict.found.append(
            "Classes would be cuts of a continuum: any number of them is arbitrary, however well "
            "the seeds agree on where to cut."
        )
        verdict.distrust.append(
            "Errors of the poses look like gradual motion. Unless the poses are known to be good, "
            "suspect them first."
        )
    elif count == 1 < best:
        verdict = Verdict(
            "warn",
            "One class, as asked",
            f"All particles are in one class, as you asked; {best} would be recommended.",
        )
    elif best <= 1 or significant <= 1:
        nothing = True
        verdict = Verdict(
            "nothing",
            "Nothing found",
            "No reproducible classes: as far as these runs show, one state.",
        )
        if (least := blind(campaign)) is not None:
            verdict = Verdict(
                "warn",
                "Too few to tell",
                "No reproducible classes, but only large differences could have been found."
                if least < 1
                else "No reproducible classes; with these particles none could have been found.",
            )
        why = f"Of {plural(count, 'class', 'classes')} {significant or 'none'} pass {rate}."
        if best <= 1 and campaign.elbows.get("why"):
            why = spaced(campaign.elbows["why"])
        verdict.found.append(why)
        verdict.found.append(_single_runs(campaign))
        verdict.found.append(power_sentence(campaign))
    else:
        missed = misses(campaign)
        verdict = Verdict("found", "Reproducible classes found", sentence_of_sizes(campaign))
        held_out = supported(campaign)
        if len(hits) or strangers(campaign) or (held_out is not None and held_out < count):
            verdict.mood, verdict.badge = "warn", "Found, but be careful"
        if firm := firmness(missed):
            verdict.mood, verdict.badge = "warn", f"Found: {firm}"
        else:
            verdict.headline = verdict.headline.replace("classes", "reproducible classes", 1)
        verdict.headline += f"{spread_of_number(campaign)}{firm and f': {firm}'}."
        verdict.found.extend(uncertain_sentences(missed))
        verdict.found.append(
            f"{plural(significant, 'class', 'classes')} of {count} pass {rate}: unrelated runs "
            "would rarely put so many particles together."
        )
    verdict.found.extend(sentences(campaign))
    _add_reasons(verdict, campaign)
    _add_picked(verdict, campaign)
    verdict.distrust.extend(doubts(campaign, hits, nothing))
    if not verdict.advice:
        verdict.advice.extend(advise(campaign, nuisances, nothing))
    return verdict


def _single_runs(campaign: Campaign) -> str:
    """Why not to interpret the maps of single runs, as far as others repeat them."""
    matrix = agreement_matrix(campaign)
    shared = seed_agreement(campaign, *matrix).values() if matrix else []
    most = max(shared, default=0.0)
    if most < PARTLY:
        return "Do not interpret the maps of single runs: the others do not repeat them."
    return (
        "Do not interpret the maps of single runs: they share part of their divisions (seeds agree "
        f"up to {most:.2f}{RAND}), but the consensus replicates none."
    )


def _add_reasons(verdict: Verdict, campaign: Campaign) -> None:
    chosen, best = chosen_number(campaign), recommended_number(campaign)
    if chosen != best:
        verdict.found.append(
            f"You asked for {plural(chosen, 'class', 'classes')}; {best} would be recommended."
        )
    verdict.found.extend(evidence_verdicts(campaign))
    if differs := number_against_evidence(campaign):
        verdict.found.append(differs)
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
