"""Classes into superclasses, and superclasses to even sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from emjax.errors import OptionError
from emjax.rebalance.sizes import (
    equivalent_factor,
    keep_particles,
    size_cap,
    superclass_of_particle,
    superclass_sizes,
)
from emjax.rebalance.superclasses import Superclasses, superclasses


@dataclass(frozen=True)
class RebalanceOptions:
    """Options of the rebalancing, with the names of config.yaml.

    Attributes:
        superclasses: number of superclasses, or auto for the largest eigengap.
        superclassify: False makes every class its own superclass.
        factor: 0 discards nothing, 1 makes all superclasses equal.
        max_superclass_size: particles; overrides the cap of the factor.
        keep: numbers of the classes to keep, from 1; None for all.
        seed: of the clustering and of the particles that are excluded.
        min_class_size: particles; smaller classes are excluded, with 1 only those without any.
        mirror: compare images with mirrored ones, too.
    """

    superclasses: int | Literal["auto"] = "auto"
    superclassify: bool = True
    factor: float = 0.0
    max_superclass_size: int | None = None
    keep: Sequence[int] | None = None
    seed: int = 0
    min_class_size: int = 1
    mirror: bool = False


@dataclass(frozen=True)
class Rebalancing:
    """Superclasses of the classes, and which particles are kept.

    Attributes:
        superclass: of every particle, -1 where it has none.
        sizes, kept_sizes: particles of every class, and those of them that are kept.
        left_out: numbers of the classes that have no superclass, by the reason.
        cap: largest number of particles of a superclass, None for no limit.
        equivalent_factor: rebalance factor that gives this cap.
    """

    options: RebalanceOptions
    superclasses: Superclasses
    superclass: Int[np.ndarray, " n"]
    kept: Bool[np.ndarray, " n"]
    sizes: Int[np.ndarray, " k"]
    kept_sizes: Int[np.ndarray, " k"]
    left_out: dict[str, list[int]]
    cap: int | None
    equivalent_factor: float

    @property
    def unassigned(self) -> int:
        """Particles that belong to no class; they are among the excluded ones."""
        return len(self.kept) - int(self.sizes.sum())

    def table(self) -> dict[str, np.ndarray]:
        """Columns of superclasses.tsv, one row per class; numbers from 1, superclass 0 excluded."""
        return {
            "class": np.arange(len(self.sizes)) + 1,
            "superclass": self.superclasses.labels + 1,
            "size": self.sizes,
            "kept": self.kept_sizes,
            "excluded": self.sizes - self.kept_sizes,
        }

    def record(self) -> dict[str, Any]:
        """Plain numbers and words, as rebalance.json holds them."""
        found = self.superclasses
        return {
            "n_superclasses": found.n_superclasses,
            "suggested": found.suggested,
            "clear": found.clear,
            "warning": found.warning,
            "eigenvalues": found.eigenvalues.tolist(),
            "cap": self.cap,
            "equivalent_factor": self.equivalent_factor,
            "keep": asdict(self.options)["keep"],
            "left_out": self.left_out,
            "n_particles": len(self.kept),
            "kept": int(self.kept.sum()),
            "excluded": int((~self.kept).sum()),
            "unassigned": self.unassigned,
        }

    def sentences(self) -> list[str]:
        """What was found, a line each."""
        found, kept, largest = self.superclasses, self.kept, self.options.max_superclass_size
        groups = "superclass" if found.n_superclasses == 1 else "superclasses"
        lines = [f"{found.n_superclasses} {groups}; {kept.sum()} of {len(kept)} particles kept"]
        if self.unassigned:
            lines[0] += f", {self.unassigned} belong to no class"
        if largest:
            lines.append(
                f"at most {largest} per superclass, as with factor {self.equivalent_factor:g}"
            )
        for why, classes in self.left_out.items():
            name = "class" if len(classes) == 1 else "classes"
            lines.append(f"left out, {why}: {name} {', '.join(map(str, classes))}")
        return [*lines, found.warning] if found.warning else lines


def rebalance_classes(
    labels: Int[np.ndarray, " n"],
    affinity: Float[np.ndarray, "k k"],
    options: RebalanceOptions | None = None,
    blank: Bool[np.ndarray, " k"] | None = None,
) -> Rebalancing:
    """Group similar classes into superclasses and exclude the excess of large ones.

    Args:
        labels: class of each particle, from 0; -1 where it has none.
        affinity: of the classes, 0 to 1.
        options: see RebalanceOptions.
        blank: whether the average of a class shows nothing; such classes have no superclass.

    Raises:
        OptionError: if an option does not fit the classes.
        ValueError: if a particle's class has no reference.
    """
    options = options or RebalanceOptions()
    k = len(affinity)
    of_own = superclass_of_particle(labels, np.arange(k))  # raises where a class has no reference
    sizes = np.bincount(of_own[of_own >= 0], minlength=k)
    reasons = _reasons(options, sizes, np.zeros(k, bool) if blank is None else blank)
    found = superclasses(
        affinity,
        options.superclasses,
        seed=options.seed,
        superclassify=options.superclassify,
        excluded=np.any(list(reasons.values()), axis=0),
    )
    largest = options.max_superclass_size
    kept = keep_particles(labels, found.labels, options.factor, largest, options.seed)
    of_superclass = superclass_sizes(labels, found.labels)
    return Rebalancing(
        options=options,
        superclasses=found,
        superclass=superclass_of_particle(labels, found.labels),
        kept=kept,
        sizes=sizes,
        kept_sizes=np.bincount(labels[kept], minlength=k),
        left_out={why: (np.flatnonzero(k) + 1).tolist() for why, k in reasons.items() if k.any()},
        cap=size_cap(of_superclass, options.factor, largest),
        equivalent_factor=equivalent_factor(of_superclass, largest) if largest else options.factor,
    )


def _reasons(
    options: RebalanceOptions, sizes: Int[np.ndarray, " k"], blank: Bool[np.ndarray, " k"]
) -> dict[str, Bool[np.ndarray, " k"]]:
    """Which classes have no superclass, by the first reason that holds."""
    small = sizes < options.min_class_size
    every = {
        "no particle": small & (sizes == 0),
        "blank average": blank,
        f"under {options.min_class_size} particles": small,
        "not among those to keep": ~_chosen(options.keep, len(sizes)),
    }
    named = np.zeros(len(sizes), bool)
    first = {}
    for why, classes in every.items():
        first[why] = classes & ~named
        named |= classes
    return first


def _chosen(keep: Sequence[int] | None, n_classes: int) -> Bool[np.ndarray, " k"]:
    """Whether each class was picked by number; all were where none is named."""
    numbers = np.arange(n_classes) + 1
    if not keep:
        return np.ones(n_classes, bool)
    if missing := [number for number in keep if number not in numbers]:
        expected = f"numbers of 1 to {n_classes}"
        raise OptionError("rebalance.keep", f"class {missing[0]}", expected)
    return np.isin(numbers, keep)
