"""The whole subspace analysis: bases judged by held-out particles, then the chosen one on all.

Candidates are tried from the simplest up and kept where they raise the held-out likelihood. The
same recipe then runs on all particles, restricted to the directions that held-out particles
confirmed.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.evidence import detectable_fraction, evidence_record
from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.pose_error import PoseError
from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.projection import nuisance_modes, project_statistics
from emjax.classify.subspace.recipes import Analyst, Candidate, SubspaceOptions
from emjax.classify.subspace.settle import HeldOut
from emjax.classify.subspace.statistics import Statistics, change_basis, latent_mix
from emjax.imaging.prepare import MeanMap


@dataclass(frozen=True)
class Judgement:
    """What held-out particles say about every recipe that was tried."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    recipe: tuple[str, ...]  # steps that lead to the chosen basis
    widths: dict[float, float]  # held-out log-likelihood by scale of the pose error


@dataclass(frozen=True)
class Analysis:
    """What the seeds run on, and why."""

    judgement: Judgement
    basis: Basis  # of all particles, in the confirmed directions
    statistics: Statistics
    pose_error: PoseError | None
    held_out: HeldOut  # what settled classes are judged by
    detectable_fraction: float  # smallest difference of two states that it could show, of the mass
    nuisance_modes: tuple[dict[str, float | bool], ...] = ()

    def record(self) -> dict[str, Any]:
        """What evidence.json holds."""
        judgement = self.judgement
        evidence = judgement.chosen.evidence
        common = (evidence.classes, evidence.per_class, self.pose_error)
        return evidence_record(evidence.verdict, evidence.discrete_classes, *common) | {
            "spread": evidence.spread and asdict(evidence.spread),
            "components": asdict(evidence.components),
            "detectable_fraction": self.detectable_fraction,
            "basis": judgement.chosen.name,
            "candidates": [
                {
                    "name": candidate.name,
                    "components": candidate.evidence.components.chosen,
                    "classes": candidate.evidence.classes.chosen,
                    "log_likelihood": candidate.evidence.log_likelihood,
                }
                for candidate in judgement.candidates
            ],
            "pose_widths": {str(scale): value for scale, value in judgement.widths.items()},
            "nuisance_modes": [dict(mode) for mode in self.nuisance_modes],
        }


def judge_recipes(
    operators: PixelOperators,
    mean: MeanMap,
    mask: Float[np.ndarray, "d d d"],
    options: SubspaceOptions | None = None,
    blocks: np.ndarray | None = None,
    say: Callable[..., None] = lambda *words: None,
    components: Complex[Array, "q v"] | None = None,
) -> Judgement:
    """Number of classes, width of the pose error and kind of basis by held-out particles alone.

    Arguments as of `analyse`, which also fits what was chosen on all particles.
    """
    options = options or SubspaceOptions()
    return _judge(Analyst(operators, mean, mask, blocks, options, say, components))


def analyse(
    operators: PixelOperators,
    mean: MeanMap,
    mask: Float[np.ndarray, "d d d"],
    options: SubspaceOptions | None = None,
    blocks: np.ndarray | None = None,
    say: Callable[..., None] = lambda *words: None,
    components: Complex[Array, "q v"] | None = None,
) -> Analysis:
    """Find the basis, the width of the pose error and the number of classes that are real.

    Args:
        operators: of all particles, parted in two folds.
        mean: mean map and half-maps on the cropped box; the folds are its half-sets.
        mask: where classes may differ: the solvent mask, or the focus mask inside it.
        options: of the analysis.
        blocks: micrograph of each particle.
        say: called with a line after each step.
        components: where every fit starts; with no iterations they are the basis as given.
    """
    options = options or SubspaceOptions()
    analyst = Analyst(operators, mean, mask, blocks, options, say, components)
    return _on_all(analyst, _judge(analyst))


def _judge(analyst: Analyst) -> Judgement:
    """Recipes from the simplest up, each kept where it raises the held-out likelihood."""
    options = analyst.options
    best = analyst.judge("mask")
    assert best is not None
    candidates, recipe = [best], ["mask"]
    wanted = ["region"] * options.regions + ["classes"] * options.within_classes
    wanted += ["differences"] * options.regions
    for name in wanted if options.iterations else ():
        if best.evidence.components.chosen == 0 or (name != "region" and not best.evidence.found):
            continue
        candidate = analyst.judge(name, best)
        if candidate is None:
            continue
        candidates.append(candidate)
        if candidate.evidence.log_likelihood > best.evidence.log_likelihood:
            best = candidate
            recipe.append(name)
    best, widths = _choose_width(analyst, best)
    return Judgement(best, tuple(candidates), tuple(recipe), widths)


def _choose_width(analyst: Analyst, best: Candidate) -> tuple[Candidate, dict[float, float]]:
    """The scale of the pose error with the best held-out likelihood of the mixture."""
    widths = {best.scale: best.evidence.log_likelihood}
    scales = analyst.scales()
    if best.scale == 0:
        # Poses that are exact beyond doubt with the mean map alone need no search.
        scales = scales[:1] if analyst.exact else scales[:2]
    for scale in scales:
        if scale in widths:
            continue
        other = analyst.score(best.name, best.bases, scale)
        widths[scale] = other.evidence.log_likelihood
        if widths[scale] > best.evidence.log_likelihood:
            best = other
    return best, widths


def _on_all(analyst: Analyst, judgement: Judgement) -> Analysis:
    """The chosen recipe on all particles."""
    best, recipe = judgement.chosen, judgement.recipe
    by_name = {candidate.name: candidate for candidate in judgement.candidates}
    basis = analyst.fit_in_mask(None, next(iter(by_name["mask"].bases.values())).components)
    for before, name in pairwise(recipe):
        basis = analyst.improve(name, basis, by_name[before].evidence, None) or basis
    # Who takes poses as exact should learn where they are not.
    compared = best.scale > 0 or analyst.options.pose_error == "off"
    scales = (best.scale, 0.0 if best.scale else 1.0) if compared else (0.0,)
    nuisance = analyst.nuisance if compared else None
    found = project_statistics(analyst.operators, basis, nuisance, scales)
    mix = analyst.confirmed(best, basis)
    if analyst.options.iterations == 0:
        # Given components come in any unit; the particles give their variance.
        mix = latent_mix(found[0])
    confirmed = [change_basis(statistics, mix) for statistics in found]
    exact, marginalised = (confirmed[scales.index(s)] for s in (0.0, max(scales)))
    components = jnp.asarray(mix.T, basis.mean.real.dtype) @ basis.components
    return Analysis(
        judgement=judgement,
        basis=Basis(basis.mean, components, basis.objective),
        statistics=confirmed[0],
        pose_error=analyst.width.scaled(best.scale),
        detectable_fraction=detectable_fraction(
            analyst.operators.particles.n,
            analyst.mask,
            float(analyst.grid.radius),
            # The mean map explains half of its power.
            2 * float(best.held_out.offset.mean()),
        ),
        held_out=HeldOut(
            best.held_out,
            analyst.operators.fold_of,
            best.evidence.components.chosen,
            analyst.blocks,
        ),
        nuisance_modes=tuple(nuisance_modes(exact, marginalised) if compared else ()),
    )
