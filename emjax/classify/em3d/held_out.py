"""Held-out evidence for classes of maps: fitted on one half of the particles, scored on the other.

A labelling of all particles has seen the held-out ones, and so have half-maps made with it: noise
shared by the members of a class speaks for the class. So each half is classified anew, with the
campaign's own options, and its maps and shares score the half that they have not seen. What is
left of wrong poses would speak for classes too; it is marginalised at the width that explains the
held-out particles best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.classification import Classification
from emjax.classify.em3d.given import group_maps
from emjax.classify.em3d.iterations import Listener, classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import GivenComponents
from emjax.classify.em3d.state import Run, Scene
from emjax.classify.evidence import (
    Choice,
    Interval,
    block_interval,
    choose_another,
    choose_number,
    evidence_record,
    verdict,
)
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.pixels import PixelOperators, to_table
from emjax.classify.pose_error import (
    AUTO_WIDTHS,
    LEFT_BY_POSES,
    PoseError,
    derivative_orders,
    marginal_likelihoods,
    nuisance_coefficients,
)
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import Particles, split_halves


@dataclass(frozen=True)
class ClassMaps:
    """Classes as another set of particles found them."""

    volumes: Float[np.ndarray, "k d d d"]  # masked
    class_weights: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class MapEvidence:
    """What the particles that the maps have not seen say about the number of classes."""

    classes: Choice
    per_class: tuple[Interval, ...]  # held-out likelihood lost without each class
    pose_error: PoseError | None  # marginalised; None where exact poses explain more
    follows_poses: bool  # more classes do explain more, but by the error of the poses

    def record(self) -> dict[str, Any]:
        """What evidence.json holds."""
        answer = verdict(self.classes)
        if self.follows_poses:
            answer += "; what classes of full maps explain follows the error of the poses"
        common = (self.classes.chosen, self.classes, self.per_class, self.pose_error)
        return evidence_record(answer, *common) | {"follows_poses": self.follows_poses}


def fit_halves(
    particles: Particles,
    scene: Scene,
    n_classes: Sequence[int],
    seeds: int,
    options: Em3dOptions,
    blocks: np.ndarray | None = None,
    initial_volumes: Float[np.ndarray, "m d d d"] | None = None,
    components: GivenComponents | None = None,
    max_memory_gb: float = 8.0,
    on_iteration: Listener = lambda states: None,
) -> dict[int, dict[int, ClassMaps]]:
    """Classify each half-set alone; the run with the best likelihood stands for its number.

    Unless first maps are given, one run of each number starts from the half-set's variability.

    Args:
        particles: of both half-sets.
        scene: mean map and masks.
        n_classes: numbers of classes; 1 is added.
        seeds: runs of each number.
        options: of the classifications.
        blocks: micrograph of each particle, which stays whole; two or more in each half-set.
        initial_volumes: first maps, at least as many as classes, for `input`.
        components: found elsewhere, for `variability` and `components`.
        max_memory_gb: GB, for the engine of one half-set.
        on_iteration: called as by `classify`, for one half-set after the other.

    Returns:
        By the half-set that the maps have not seen, and by number of classes.
    """
    names = np.arange(particles.n) if blocks is None else np.asarray(blocks)
    runs = [Run(1, 0)] + [Run(k, s) for k in sorted({*n_classes} - {1}) for s in range(seeds)]
    given = None
    if initial_volumes is not None:
        given = {run: group_maps(initial_volumes, run.n_classes, run.seed) for run in runs}
    fits: dict[int, dict[int, ClassMaps]] = {}
    for unseen in (1, 2):
        rows = np.flatnonzero(particles.half != unseen)
        own = split_halves(np.zeros(len(rows), np.int8), names[rows].astype(str), 0)
        part = replace(particles.subset(rows), half=own)
        engine = make_engine(
            part, max_memory_gb, 0, options.highpass_resolution, options.particle_limit
        )
        everyone = None
        if options.particle_limit:
            everyone = make_engine(part, max_memory_gb, 0, options.highpass_resolution)
        own_components = components and components.of(rows)
        fit = partial(
            classify,
            engine,
            scene,
            components=own_components,
            everyone=everyone,
            on_iteration=on_iteration,
        )
        found = fit(runs, options, initial_volumes=given)
        if options.initial in ("simple", "pca"):
            # Where every random start is stuck at K, K + 1 would win; this start rarely is.
            engine.forget_blocks()  # their memory is for the operators of the start
            again = [Run(k, 0) for k in sorted({*n_classes} - {1})]
            found += fit(again, replace(options, initial="variability")) if again else []
        engine.forget_blocks()
        fits[unseen] = _best_of(found)
    return fits


def _best_of(results: Sequence[Classification]) -> dict[int, ClassMaps]:
    best: dict[int, ClassMaps] = {}
    likelihood: dict[int, float] = {}
    for found in results:
        assert found.maps is not None and found.log_likelihood is not None
        k = found.n_classes
        if found.log_likelihood > likelihood.get(k, -np.inf):
            weights = found.posteriors.mean(0, dtype=np.float64).astype(np.float32)
            likelihood[k], best[k] = found.log_likelihood, ClassMaps(found.maps, weights)
    return best


def judge_maps(
    operators: PixelOperators,
    fits: Mapping[int, Mapping[int, ClassMaps]],
    mean_map: Float[np.ndarray, "d d d"],
    blocks: np.ndarray | None = None,
    scales: Sequence[float] = AUTO_WIDTHS,
) -> MapEvidence:
    """Score classes on the particles they have not seen, and choose their number.

    Args:
        operators: of all particles, in folds.
        fits: by the fold that was not seen, and by number of classes, 1 among them.
        mean_map: masked; its derivatives are what pose errors do.
        blocks: micrograph of each particle.
        scales: widths of the pose error to try, of the default one; 0 for exact poses.
    """
    numbers = sorted(next(iter(fits.values())))
    voxel_size, ones = operators.particles.voxel_size, np.ones_like(mean_map)
    nuisance = nuisance_coefficients(mean_map, ones, operators.grid, voxel_size, PoseError(), 2)
    scores = {
        scale: _score_folds(operators, fits, numbers, nuisance if scale else nuisance[:0], scale)
        for scale in scales
    }
    totals = {scale: max(gain.sum() for gain, _ in found) for scale, found in scores.items()}
    scale = max(totals, key=lambda s: totals[s])
    gains = np.stack([gain for gain, _ in scores[scale]])
    choice = choose_number(gains, numbers, blocks, "classes")
    row = numbers.index(choice.chosen)
    exact = scores.get(0.0, scores[scale])
    left, before = choice.gains[row].value, float((exact[row][0] - exact[0][0]).sum())
    follows_poses = left < LEFT_BY_POSES * before
    if follows_poses:
        reason = f"what {choice.chosen} classes explain follows the error of the poses"
        reason += f": without it {left:.0f} of {before:.0f} are left"
        choice, row = choose_another(choice, 1, reason, gains, blocks), 0
    losses = [block_interval(gains[row] - without, blocks) for without in scores[scale][row][1]]
    return MapEvidence(choice, tuple(losses), PoseError().scaled(scale), follows_poses)


def _score_folds(
    operators: PixelOperators,
    fits: Mapping[int, Mapping[int, ClassMaps]],
    numbers: Sequence[int],
    nuisance: Complex[Array, "m v"],
    scale: float,
) -> list[tuple[Float[np.ndarray, " n"], Float[np.ndarray, "k n"]]]:
    """Of each number of classes: log-likelihood of each particle, and without each class."""
    n = operators.particles.n
    found = [(np.zeros(n), np.zeros((k if k > 1 else 0, n))) for k in numbers]
    factors = jnp.asarray(scale ** derivative_orders(len(nuisance)), nuisance.real.dtype)
    for fold, classes in fits.items():
        volumes = np.concatenate([classes[k].volumes for k in numbers])
        values = slicing_values(jnp.asarray(volumes), operators.grid)
        table = to_table(jnp.concatenate([values, nuisance]))
        for rows, block in operators.blocks((fold,)):
            slices = block.slices(table, len(volumes) + len(nuisance))
            ell = np.asarray(_likelihoods(block.pixels, slices, factors), np.float64)
            start = 0
            for k, (gain, without) in zip(numbers, found):
                own = ell[: len(rows), start : start + k]
                log_weights = np.log(np.maximum(classes[k].class_weights, 1e-12))
                gain[rows] = np.logaddexp.reduce(own + log_weights, 1)
                for j in range(len(without)):
                    rest = np.arange(k) != j
                    share = np.logaddexp.reduce(log_weights[rest])
                    without[j, rows] = (
                        np.logaddexp.reduce(own[:, rest] + log_weights[rest], 1) - share
                    )
                start += k
    return found


@jax.jit
def _likelihoods(
    pixels: Float[Array, "b p 2"], slices: Float[Array, "b c t"], factors: Float[Array, " m"]
) -> Float[Array, "b k"]:
    k = slices.shape[1] - len(factors)
    nuisance = slices[:, k:] * factors[:, None]
    return marginal_likelihoods(pixels.reshape(len(slices), -1), slices[:, :k], nuisance)[0]
