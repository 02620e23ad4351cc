"""Consensus classes settled on the images, and whether images tell each from its nearest.

From the classes of the runs, iterations in the basis of variability; then one with full maps, which
wins what the basis cannot express. More of these fit noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Int

from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.mixture import posteriors_and_gain
from emjax.classify.subspace.polish import polish
from emjax.classify.subspace.runs import Polishing
from emjax.classify.subspace.settle import (
    Distinct,
    HeldOut,
    compare_classes,
    settle_classes,
    shared_members,
    stayed,
)
from emjax.classify.subspace.statistics import Statistics
from emjax.classify.subspace.volumes import class_coefficients
from emjax.consensus.assign import BETWEEN, Assigned
from emjax.consensus.choose import Choice, Variability


@dataclass(frozen=True)
class Images:
    """What the images of particles say about classes.

    Attributes:
        basis: of the variability of all prepared particles.
        statistics: of these in it.
        held_out: each of them in the basis that was fitted without its half-set.
        full_maps: what an iteration of full maps needs, for some of them.
        rows: of the particles meant, among the prepared ones; -1 where one is not prepared.
        n_states: that held-out particles support.
        continuum: whether they show one, which classes cut.
    """

    basis: Basis
    statistics: Statistics
    held_out: HeldOut
    full_maps: Callable[[Int[np.ndarray, " n"]], Polishing]
    rows: Int[np.ndarray, " n"]
    n_states: int
    continuum: bool = False

    @property
    def variability(self) -> Variability:
        """What held-out particles show."""
        if self.continuum:
            return Variability.CONTINUUM
        return Variability.COMPONENTS if self.held_out.n_components else Variability.NONE

    def select(self, rows: Int[np.ndarray, " m"]) -> Images:
        """Some of the particles."""
        own = self.rows[rows]
        found = self.statistics.take(own), self.held_out.select(own)
        full = partial(_of_some, self.full_maps, own)
        return Images(self.basis, *found, full, np.arange(len(own)), self.n_states, self.continuum)


def _of_some(full_maps, own, rows):
    return full_maps(own[rows])


@dataclass(frozen=True)
class Settled:
    """Classes after their last iterations.

    Attributes:
        assigned: of the particles; stability is still that of the classes before.
        joined: classes that held-out particles did not tell from others.
    """

    assigned: Assigned
    joined: int


def judge_classes(assigned: Assigned, images: Images) -> list[Distinct]:
    """Held-out evidence of the classes as they are assigned."""
    inside = assigned.labels >= 0
    return compare_classes(images.held_out, np.where(inside[:, None], assigned.posteriors, 0))


def settle(assigned: Assigned, images: Images, min_posterior: float) -> Settled | None:
    """A few last iterations from the classes of the runs; what images do not tell apart is joined.

    Two classes are left at least: whether there is more than one is another question.

    Args:
        assigned: particles to classes; those pruned stay so.
        images: of the same particles.
        min_posterior: below which a particle is between classes.

    Returns:
        None where a class does not stay itself: the basis does not hold it.
    """
    inside = assigned.labels >= 0
    weights = np.where(inside[:, None], assigned.posteriors, 0)
    joined = 0
    while weights.shape[1] > 2:
        evidence = compare_classes(images.held_out, weights)
        alike = [c for c, one in enumerate(evidence) if not one.distinct]
        if not alike:
            break
        least = min(alike, key=lambda c: evidence[c].gain.value)
        weights, joined = _join(weights, least, evidence[least].nearest), joined + 1
    z, shares = settle_classes(images.statistics, weights)
    settled = posteriors_and_gain(images.statistics, z, shares)[0]
    if not stayed(shared_members(weights, settled)).all():
        return None
    operators, mask, iterations, derivatives = images.full_maps(images.rows)
    volumes = class_coefficients(images.basis, z)
    found = polish(operators, volumes, shares, mask, iterations, derivatives).posteriors
    return Settled(_assign(assigned, found, min_posterior), joined)


def join_classes(choice: Choice, joined: int) -> Choice:
    """The choice with so many classes fewer, which images did not tell from others."""
    if not joined:
        return choice
    number = choice.recommended - joined
    reason = (
        f"{number} classes: the runs keep {choice.recommended} apart, of which held-out particles"
        f" do not tell {joined} from another. {choice.reason}"
    )
    return replace(choice, recommended=number, reason=reason, joined=joined)


def _join(weights: np.ndarray, first: int, second: int) -> np.ndarray:
    joined = np.delete(weights, first, axis=1)
    joined[:, second - (second > first)] += weights[:, first]
    return joined


def _assign(assigned: Assigned, found: np.ndarray, min_posterior: float) -> Assigned:
    """The particles by their settled posteriors."""
    own, labels = found.max(1), found.argmax(1)
    takes_part = (assigned.labels >= 0) | (assigned.set_aside == BETWEEN)
    aside = np.where(takes_part & (own < min_posterior), BETWEEN, assigned.set_aside)
    aside[takes_part & (own >= min_posterior)] = ""
    labels = np.where(takes_part & (aside == ""), labels, -1)
    return replace(assigned, labels=labels, own=own, posteriors=found, set_aside=aside)
