"""Do the classes follow a nuisance instead of a state?

Runs that all follow the same nuisance agree with each other, so agreement cannot tell. Known
nuisances are tested against every class; an unknown pose error shows as a difference map that a
small movement of the whole molecule would make.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats

from emjax.classify.pose_error import PoseError, derivative_volumes
from emjax.consensus.significance import adjust_fdr

_PERMUTATIONS = 300
_SHUFFLED_PARTICLES = 50_000
_FLAGGED_EFFECT = 0.2
_FLAGGED_SHARE = 0.5


def view_features(rotations: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 8"]:
    """Viewing direction as the first- and second-order harmonics on the sphere.

    rotations: A with k3D = Aᵀ (kx, ky, 0), so that the beam runs along Aᵀ z, A's third row.
    """
    x, y, z = rotations[:, 2, :].T
    return np.stack([x, y, z, x * y, y * z, z * x, x * x - y * y, 3 * z * z - 1], axis=1)


def scalar_features(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Rank and squared rank: sees a trend and an excess of extreme values, whatever the units."""
    rank = (stats.rankdata(values) - 0.5) / len(values) - 0.5
    return np.stack([rank, rank**2], axis=1)


def shift_features(shifts: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 4"]:
    """Direction of the shift, and its length by rank."""
    return np.column_stack([shifts, scalar_features(np.hypot(*shifts.T))])


def score_association(
    member: Bool[np.ndarray, " n"], features: Float[np.ndarray, "n q"]
) -> tuple[float, float]:
    """Multiple correlation of a class with features, and the p-value of its score test.

    The effect is shrunk by what chance gives: 0 for no association, 1 for a class that the
    features define.
    """
    y = member - member.mean()
    x = features - features.mean(axis=0)
    basis, singular, _ = np.linalg.svd(x, full_matrices=False)
    basis = basis[:, singular > 1e-8 * max(singular.max(initial=0.0), 1e-30)]
    n, q = basis.shape
    if q == 0 or not y.any():
        return 0.0, 1.0
    r2 = float(((basis.T @ y) ** 2).sum() / (y @ y))
    effect = np.sqrt(max(r2 - (1 - r2) * q / max(n - q - 1, 1), 0.0))
    return float(effect), float(stats.chi2.sf(n * r2, q))


def score_groups(
    member: Bool[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[float, float]:
    """Bias-corrected Cramér's V of a class with groups, and its p-value.

    Micrographs hold few particles each, so the mean and spread of χ² come from shuffles.
    """
    _, group = np.unique(groups, return_inverse=True)
    group = group.reshape(-1)
    size = np.bincount(group)
    if len(member) > _SHUFFLED_PARTICLES:
        drawn = rng.choice(len(member), _SHUFFLED_PARTICLES, replace=False)
        return score_groups(member[drawn], groups[drawn], rng)
    n, share = len(member), member.mean()
    if len(size) < 2 or share in (0.0, 1.0):
        return 0.0, 1.0

    def chi_square(chosen: np.ndarray) -> float:
        inside = np.bincount(group, weights=chosen, minlength=len(size))
        return float(((inside - size * share) ** 2 / (size * share * (1 - share))).sum())

    found = chi_square(member)
    shuffled = [chi_square(rng.permutation(member)) for _ in range(_PERMUTATIONS)]
    mean, spread = np.mean(shuffled), max(float(np.std(shuffled)), 1e-9)
    # A gamma law of the shuffles' mean and spread: χ² itself where groups are large.
    p_value = float(stats.gamma.sf(found, (mean / spread) ** 2, scale=spread**2 / mean))
    return float(np.sqrt(max(found - mean, 0.0) / n)), p_value


def audit_confounders(
    labels: Int[np.ndarray, " n"],
    nuisances: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Effect size and test of every nuisance in every class; columns of confounders.tsv.

    Args:
        labels: consensus class of every particle; -1 (left out of the audit).
        nuisances: by name. `rotations` [n, 3, 3] is taken as viewing direction and `shifts`
            [n, 2] as shift; other floats as scalars, integers and text as groups.
        rng: for the shuffles of the groups.

    Returns class, nuisance, effect_size (0..1), p_value, q_value and flag, one row a pair. The
    flag asks for both, q < 0.05 and an effect above 0.2: many particles make any effect certain.
    """
    inside = labels >= 0
    classes, names, scores = [], [], []
    for name, values in nuisances.items():
        values = np.asarray(values)[inside]
        features = _features(name, values)
        for c in range(int(labels.max(initial=-1)) + 1):
            member = labels[inside] == c
            classes.append(c)
            names.append("viewing direction" if name == "rotations" else name)
            scores.append(
                score_groups(member, values, rng)
                if features is None
                else score_association(member, features)
            )
    effects, p_values = np.asarray(scores, dtype=np.float64).reshape(-1, 2).T
    q_values = adjust_fdr(p_values, len(p_values))
    return {
        "class": np.asarray(classes, dtype=np.int64),
        "nuisance": np.asarray(names, dtype=str),
        "effect_size": effects,
        "p_value": p_values,
        "q_value": q_values,
        "flag": (q_values < 0.05) & (effects > _FLAGGED_EFFECT),
    }


def _features(name: str, values: np.ndarray) -> np.ndarray | None:
    """Features to correlate with, or nothing where the values name groups."""
    if name == "rotations":
        return view_features(values)
    if name == "shifts":
        return shift_features(values)
    return scalar_features(values) if values.dtype.kind == "f" else None


def movement_maps(volume: Float[np.ndarray, "d d d"]) -> Float[np.ndarray, "m d d d"]:
    """First and second derivatives of a volume by rigid-body motion, per voxel and radian.

    Three shifts and three rotations, then the 21 products of two: errors of either sign average to
    a blur, which only the second order shows.
    """
    unit = PoseError(rotation=float(np.rad2deg(1.0)), shift=1.0)
    return derivative_volumes(volume, 1.0, unit, order=2)


def differ_from_mean(
    class_volumes: Float[np.ndarray, "k d d d"],
    class_sizes: Float[np.ndarray, " k"] | Int[np.ndarray, " k"],
    mask: Float[np.ndarray, "d d d"],
) -> tuple[Float[np.ndarray, "k v"], Float[np.ndarray, "d d d"], Float[np.ndarray, " v"]]:
    """Difference of every class from the classes' mean inside the mask, that mean, and its unit.

    The mean map of all particles will not do: it was filtered otherwise than the classes' maps, and
    that difference, the same in all, outweighs those between the classes.
    """
    mean = np.tensordot(class_sizes / max(float(class_sizes.sum()), 1.0), class_volumes, 1)
    inside = mask > 0.05
    differences = (class_volumes - mean)[:, inside] * mask[inside]
    direction = mean[inside] * mask[inside]
    return differences, mean, direction / max(float(np.linalg.norm(direction)), 1e-30)


def score_movement(
    class_volumes: Float[np.ndarray, "k d d d"],
    class_sizes: Float[np.ndarray, " k"] | Int[np.ndarray, " k"],
    mask: Float[np.ndarray, "d d d"],
) -> Float[np.ndarray, " k"]:
    """Share of every class's difference map that movements of the whole molecule explain.

    Near 0 for a part that comes or goes, near 1 for classes that sort particles by pose error.
    Scale is removed first: a class of weaker images is no movement either.
    """
    differences, mean, unit = differ_from_mean(class_volumes, class_sizes, mask)
    inside = mask > 0.05
    moves = movement_maps(mean)[:, inside] * mask[inside]
    moves -= np.outer(moves @ unit, unit)
    differences -= np.outer(differences @ unit, unit)
    basis, singular, _ = np.linalg.svd(moves.T, full_matrices=False)
    basis = basis[:, singular > 1e-6 * singular.max(initial=1e-30)]
    return _share(differences @ basis, differences)


def score_scaling(
    class_volumes: Float[np.ndarray, "k d d d"],
    class_sizes: Float[np.ndarray, " k"] | Int[np.ndarray, " k"],
    class_scale: Float[np.ndarray, " k"],
    mask: Float[np.ndarray, "d d d"],
) -> Float[np.ndarray, " k"]:
    """Share of every class's difference map that a change of the whole's grey scale explains.

    Particles that lack a part fit the mean map with a smaller scale too, so their scale alone says
    nothing. The classes' maps are put back to the scale of their images: a weaker whole then
    differs by the mean map itself, a missing part by that part.
    """
    rescaled = class_volumes * class_scale[:, None, None, None]
    differences, _, unit = differ_from_mean(rescaled, class_sizes, mask)
    return _share((differences @ unit)[:, None], differences)


def _share(explained: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Energy of what is explained over that of the differences, 0 where there is none."""
    energy = (differences**2).sum(axis=1)
    energy[energy < 1e-12 * energy.max(initial=0.0)] = 0.0
    return np.divide(
        (explained**2).sum(axis=1), energy, out=np.zeros(len(energy)), where=energy > 0
    )


def audit_movement(
    labels: Int[np.ndarray, " n"],
    class_volumes: Float[np.ndarray, "k d d d"],
    mask: Float[np.ndarray, "d d d"],
) -> dict[str, np.ndarray]:
    """The share of `score_movement` as rows of confounders.tsv, flagged above one half.

    On simulated states it is 0.07 to 0.33, on classes that follow a 2° pose error 0.79 to 0.88.
    """
    k = len(class_volumes)
    sizes = np.bincount(labels[labels >= 0], minlength=k)
    shares = score_movement(class_volumes, sizes, mask)
    unknown = np.full(k, np.nan)
    return {
        "class": np.arange(k),
        "nuisance": np.full(k, "movement of the whole"),
        "effect_size": shares,
        "p_value": unknown,
        "q_value": unknown,
        "flag": shares > _FLAGGED_SHARE,
    }


def audit_scale(
    labels: Int[np.ndarray, " n"],
    scale: Float[np.ndarray, " n"],
    class_volumes: Float[np.ndarray, "k d d d"],
    mask: Float[np.ndarray, "d d d"],
) -> dict[str, np.ndarray]:
    """Grey scale as rows of confounders.tsv: the share of `score_scaling`, tested by particle.

    Flagged where the particles' scale goes with the class (q < 0.05) and explains more than half
    of how its map differs.
    """
    k = len(class_volumes)
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=k)
    total = np.bincount(labels[inside], weights=scale[inside], minlength=k)
    class_scale = np.where(sizes > 0, total / np.maximum(sizes, 1), 1.0)
    features = scalar_features(scale[inside])
    p_values = np.asarray([score_association(labels[inside] == c, features)[1] for c in range(k)])
    q_values = adjust_fdr(p_values, k)
    shares = score_scaling(class_volumes, sizes, class_scale, mask)
    return {
        "class": np.arange(k),
        "nuisance": np.full(k, "grey scale"),
        "effect_size": shares,
        "p_value": p_values,
        "q_value": q_values,
        "flag": (q_values < 0.05) & (shares > _FLAGGED_SHARE),
    }


def audit_classes(
    labels: Int[np.ndarray, " n"],
    nuisances: Mapping[str, np.ndarray],
    scale: Float[np.ndarray, " n"],
    class_volumes: Float[np.ndarray, "k d d d"],
    mask: Float[np.ndarray, "d d d"],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Known nuisances, grey scale and movement of the whole: all columns of confounders.tsv.

    Args:
        labels: class of every particle, from 0; -1 left out.
        nuisances: see `audit_confounders`; those that do not vary are left out.
        scale: of every particle against the mean map.
        class_volumes: map of every class, all filtered alike.
        mask: of the solvent.
        rng: for shuffles.
    """
    varying = {k: v for k, v in nuisances.items() if len(np.unique(v, axis=0)) > 1}
    parts = [
        audit_confounders(labels, varying, rng),
        audit_scale(labels, scale, class_volumes, mask),
        audit_movement(labels, class_volumes, mask),
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
