"""Even out the sizes of superclasses by discarding particles from the large ones."""

from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Int

from emjax.errors import OptionError

_LARGEST = "rebalance.max_superclass_size"


def superclass_sizes(
    labels: Int[np.ndarray, " n"], superclass_of_class: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " s"]:
    """Number of particles in each superclass."""
    of_particle = superclass_of_particle(labels, superclass_of_class)
    n_superclasses = int(superclass_of_class.max(initial=-1)) + 1
    return np.bincount(of_particle[of_particle >= 0], minlength=n_superclasses)


def superclass_of_particle(
    labels: Int[np.ndarray, " n"], superclass_of_class: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " n"]:
    """Superclass of each particle; −1 where it has no class or its class is excluded.

    Raises:
        ValueError: If a label has no reference, as when averages and particles are of two jobs.
    """
    labels, superclass_of_class = np.asarray(labels), np.asarray(superclass_of_class)
    if labels.max(initial=-1) >= len(superclass_of_class) or labels.min(initial=-1) < -1:
        found = labels.max() + 1 if labels.max() >= len(superclass_of_class) else labels.min() + 1
        raise ValueError(
            f"labels: found class {found} but only {len(superclass_of_class)} references; "
            "expected class averages and particles of the same job"
        )
    return np.where(labels < 0, -1, superclass_of_class[labels])


def size_cap(
    sizes: Int[np.ndarray, " s"], factor: float, max_size: int | None = None
) -> int | None:
    """Largest number of particles a superclass may keep, or None for no limit.

    The cap is ⌊n_min / factor⌋ with n_min the smallest superclass that is not empty: factor 0
    discards nothing, 1 makes all superclasses equal. `max_size` overrides it.

    Raises:
        OptionError: If the factor is outside 0..1, or the override below 1 or given at factor 0.
    """
    if not 0 <= factor <= 1:
        raise OptionError("rebalance.factor", factor, "0 to 1")
    if max_size is not None and factor == 0:
        found = f"{max_size} with factor 0, which discards nothing"
        raise OptionError(_LARGEST, found, "a factor above 0")
    if max_size is not None and max_size < 1:
        raise OptionError(_LARGEST, max_size, "1 or more")
    filled = np.asarray(sizes)[np.asarray(sizes) > 0]
    if factor == 0 or filled.size == 0:
        return None
    if max_size is not None:
        return int(max_size)
    # As a decimal fraction: 29 / 0.29 is 100, not the 99.999… of binary floats.
    return int(Fraction(int(filled.min())) / Fraction(str(factor)))


def equivalent_factor(sizes: Int[np.ndarray, " s"], max_size: int) -> float:
    """Rebalance factor n_min / max_size that would have given this maximum size, at most 1."""
    filled = np.asarray(sizes)[np.asarray(sizes) > 0]
    return min(1.0, float(filled.min()) / max_size) if filled.size else 0.0


def keep_particles(
    labels: Int[np.ndarray, " n"],
    superclass_of_class: Int[np.ndarray, " k"],
    factor: float = 0.0,
    max_size: int | None = None,
    seed: int = 0,
) -> Bool[np.ndarray, " n"]:
    """Choose the particles to keep so that no superclass is larger than the cap.

    Unassigned particles (−1) and those of an excluded class (superclass −1) are never kept.

    Args:
        labels: Class of each particle, 0-based, −1 = unassigned.
        superclass_of_class: Superclass of each class, 0-based, −1 = excluded.
        factor: Rebalance factor, 0 (discard nothing) to 1 (all superclasses equal).
        max_size: Largest size of a superclass; overrides the factor's, which must not be 0.
        seed: Seed of the random discards.

    Returns:
        True for each particle kept.
    """
    of_particle = superclass_of_particle(labels, superclass_of_class)
    cap = size_cap(superclass_sizes(labels, superclass_of_class), factor, max_size)
    if cap is None:
        return of_particle >= 0
    # One draw for all particles: the discards of a superclass do not hang on the other ones.
    draw = np.random.default_rng(seed).random(len(of_particle))
    order = np.lexsort((draw, of_particle))
    sorted_superclass = of_particle[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_superclass, sorted_superclass)
    kept = np.zeros(len(order), bool)
    kept[order] = (rank < cap) & (sorted_superclass >= 0)
    return kept
