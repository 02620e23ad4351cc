"""Particles that fit no map: images without a particle, and particles at a wrong pose.

Each image is compared with every volume at its pose and at the poses near it (`fit`), the scores
are calibrated by decoys (`calibration`), and what most likely fits nothing is searched over all
poses (`pose_search`): a particle that is found elsewhere had a wrong pose, the others hold none.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from emjax.classify.calibration import SEPARATED, Calibration, calibrate, within_rate
from emjax.classify.fit import Target, fit_particles, make_target
from emjax.classify.pose_search import Poses, search_poses
from emjax.errors import InputError, OptionError
from emjax.imaging.particles import Particles
from emjax.imaging.prepare import Prepared, PrepareOptions, move_poses, reweigh
from emjax.imaging.symmetry import symmetry_rotations

JUNK, POSE = "junk", "pose"  # no particle; a particle, not at this pose
AUTO_RATE = 0.05
SEARCHED_PART = 1 / 16  # of the box, the largest shift in a search of poses
DECOYS = 20_000  # scores of images at other particles' poses, fewer for a small set
NEAR = 15.0  # degrees; a pose found so near is the given one with its error
LEAST_WEIGHT = 1e-6
NOISE_IMAGES = 300  # without a particle, searched to calibrate the search


@dataclass(frozen=True)
class OutlierOptions:
    """Which particles are set aside.

    Attributes:
        rate: of the particles set aside, the expected fraction that fit; 0 sets none aside.
        poses: what becomes of particles found at another pose: recover, or set_aside.
        seed: of the decoys.
        symmetry: point group, whose poses show the same view.

    Raises:
        OptionError: where a value is none of these.
    """

    rate: float = AUTO_RATE
    poses: str = "recover"
    seed: int = 0
    symmetry: str = "C1"

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        if not 0 <= self.rate < 1:
            raise OptionError("outliers.junk", f"{self.rate:g}", "a rate from 0 to below 1")
        if self.poses not in ("recover", "set_aside"):
            raise OptionError("outliers.poses", repr(self.poses), "one of recover, set_aside")


@dataclass(frozen=True)
class Outliers:
    """How well every particle fits, and which are set aside."""

    log_likelihood_ratio: Float[np.ndarray, " n"]  # against no particle, in nats
    probability: Float[np.ndarray, " n"]  # that the particle fits at its pose
    reason: np.ndarray  # (n,) of str: junk, pose, or empty
    calibration: Calibration
    rows: Int[np.ndarray, " m"]  # that fit nothing
    found: Poses  # of these
    certain: np.ndarray  # (m,) of bool: whether the pose found is one
    recovered: Int[np.ndarray, " r"]  # rows that take part at the pose found
    asked: bool  # whether any were to be set aside
    best: Int[np.ndarray, " n"]  # volume that fits best

    def record(self) -> dict[str, Any]:
        """What outliers.json holds."""
        names, counts = np.unique(self.reason, return_counts=True)
        return {
            "calibration": self.calibration.record(),
            "searched": len(self.rows),
            "found": int(self.certain.sum()),
            "recovered": len(self.recovered),
            "set_aside": {str(n): int(c) for n, c in zip(names, counts, strict=True) if n},
        }


def find_outliers(
    particles: Particles,
    volumes: Float[np.ndarray, "k d d d"],
    mask: Float[np.ndarray, "d d d"],
    options: OutlierOptions = OutlierOptions(),
    search: Float[np.ndarray, "d d d"] | None = None,
) -> Outliers:
    """Particles that fit none of some volumes, and poses at which they do.

    Args:
        particles: prepared ones; those of weight 0 are not judged.
        volumes: of the classes, or the mean map, on the cropped box.
        mask: solvent mask.
        options: rate, and the seed of the decoys.
        search: volume at whose projections the doubted ones are looked for; without it all of
            them are junk.
    """
    target = make_target(volumes, mask, particles)
    used = np.flatnonzero(particles.weight > 0)
    fit = fit_particles(particles, target)
    calibration = calibrate(
        fit.best[used], decoy_scores(particles.subset(used), target, options.seed)
    )
    probability = calibration.probability(fit.best)
    rows = used[within_rate(probability[used], options.rate)]
    found, certain = Poses.none(), np.zeros(len(rows), bool)
    if search is not None and len(rows):
        found, certain = _search(particles, search, mask, calibration, rows, options)
    reason = np.full(particles.n, "", "U4")
    reason[rows] = np.where(certain, POSE, JUNK)
    near = np.zeros(len(rows), bool)
    if len(found.score):
        near = _near(particles.rotations[rows], found.rotations, options.symmetry)
    reason[rows[certain & near]] = ""
    certain = certain & ~near
    nobody = np.zeros(0, int)
    ratio = fit.log_likelihood_ratio
    best = fit.score.argmax(1)
    asked = options.rate > 0
    return Outliers(
        ratio, probability, reason, calibration, rows, found, certain, nobody, asked, best
    )


def leave_out(
    prepared: Prepared,
    options: OutlierOptions,
    preparation: PrepareOptions,
) -> tuple[Prepared, Outliers]:
    """Outliers against the mean map, which is made again without them.

    Particles enter the second mean map by the probability that they fit; only what fits neither
    map is set aside. Particles of weight 0 stay out of everything.

    Args:
        prepared: what `prepare` found; its images are whitened anew in place.
        options: which particles to set aside.
        preparation: options that `prepare` had.

    Returns:
        The particles with weight 0 where they are set aside, and at their new poses where these are
        recovered, and what was found.
    """
    options = replace(options, symmetry=preparation.symmetry)
    given = prepared.particles.weight
    mask, mean = prepared.mean.solvent_mask, prepared.mean.volume
    first = find_outliers(prepared.particles, mean[None], mask, options)
    if not len(first.rows):
        return prepared, first
    # Never quite 0: that would say that they were left out before.
    weight = given * np.maximum(first.probability, LEAST_WEIGHT)
    prepared = reweigh(prepared, weight, preparation)
    mask, mean = prepared.mean.solvent_mask, prepared.mean.volume
    found = find_outliers(prepared.particles, mean[None], mask, options, mean)
    if options.poses == "recover":
        prepared, found = _recover(prepared, found)
    kept = given * (found.reason == "")
    for half in (1, 2):
        if not kept[prepared.particles.half == half].any():
            fitting = "particles that fit the mean map; check their poses and rlnRandomSubset"
            what = "nothing but what fits no map"
            raise InputError(place=f"half-set {half}", found=what, expected=fitting)
    return reweigh(prepared, kept, preparation), found


def describe_outliers(found: Outliers) -> list[str]:
    """What became of the particles, a sentence for each thing that there is to say."""
    n, calibration = len(found.reason), found.calibration
    if not found.asked:
        return []
    if not calibration.separated:
        return [
            f"particles that fit nothing score like the others (separation"
            f" {calibration.separation:.1f}, at least {SEPARATED:g} expected): none is set aside"
        ]
    said = []
    junk, pose = (int(np.sum(found.reason == reason)) for reason in (JUNK, POSE))
    if junk + pose:
        kinds = [(junk, "no particle in the image (junk)"), (pose, "a particle at another pose")]
        parts = ", ".join(f"{count} {what}" for count, what in kinds if count)
        said.append(f"{junk + pose} of {n} particles fit no map and are set aside: {parts}")
    if recovered := len(found.recovered):
        said.append(f"{recovered} of {n} particles fit at another pose only and are used there")
    return said or ["every particle that takes part fits"]


def _recover(prepared: Prepared, found: Outliers) -> tuple[Prepared, Outliers]:
    """Particles at the poses found for them; their images are centred anew in place."""
    image = prepared.identity
    # Copies of an image (symmetry expansion) would all come to one pose.
    own = np.bincount(image)[image[found.rows]] == 1
    poses, rows = found.found.take(found.certain & own), found.rows[found.certain & own]
    reason, ratio = found.reason.copy(), found.log_likelihood_ratio.copy()
    reason[rows], ratio[rows] = "", poses.score**2 / 2
    prepared = move_poses(prepared, poses.rotations, poses.moves, rows)
    return prepared, replace(found, reason=reason, log_likelihood_ratio=ratio, recovered=rows)


def _near(
    given: Float[np.ndarray, "m 3 3"], found: Float[np.ndarray, "m 3 3"], symmetry: str
) -> np.ndarray:
    """Whether poses that were found are the given ones, with an error that refinement corrects."""
    group = symmetry_rotations(symmetry)
    traces = np.einsum("nij,gjk,nik->ng", given, group, found)
    return (traces.max(1) - 1) / 2 > np.cos(np.deg2rad(NEAR))


def decoy_scores(particles: Particles, target: Target, seed: int) -> Float[np.ndarray, " m"]:
    """Best scores of images at the poses of other particles."""
    rng = np.random.default_rng(seed)
    count = int(np.clip(20 * particles.n, 2000, DECOYS))
    rows = np.sort(rng.integers(particles.n, size=count))
    others = rng.integers(particles.n, size=count)
    decoys = replace(particles.subset(rows), rotations=particles.rotations[others])
    return fit_particles(decoys, target).best


def _search(
    particles: Particles,
    volume: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"],
    calibration: Calibration,
    rows: Int[np.ndarray, " m"],
    options: OutlierOptions,
) -> tuple[Poses, np.ndarray]:
    """Poses of doubted particles, and which of them are wrong with a probability below the rate."""
    max_shift = particles.extent * SEARCHED_PART
    doubted = particles.subset(rows)
    found = search_poses(doubted, volume, mask, max_shift)
    noise = search_poses(without_particle(doubted, options.seed), volume, mask, max_shift)
    again = calibrate(found.score, noise.score, calibration.fit)
    certain = again.probability(found.score) > 1 - options.rate
    return found, certain & again.separated


def without_particle(particles: Particles, seed: int) -> Particles:
    """Some images with random phases: the same spectrum, and nothing in it."""
    rng = np.random.default_rng(seed)
    part = particles.take(np.sort(rng.integers(particles.n, size=NOISE_IMAGES)))
    angles = rng.uniform(0, 2 * np.pi, part.images.shape)
    return replace(part, images=(part.images * np.exp(1j * angles)).astype(np.complex64))
