"""The files of a rebalancing, of consensus classes or of given ones."""

from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.job import Job
from emjax.io.files import write_json, write_npy, write_tsv
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.rebalance.sizes import (
    equivalent_factor,
    rebalance,
    size_cap,
    superclass_of_particle,
    superclass_sizes,
)
from emjax.rebalance.superclasses import Superclasses, superclasses


def write_rebalance(
    work: Job,
    suffixes: tuple[str, ...],
    table: ParticleSet,
    labels: np.ndarray,
    affinity: np.ndarray,
    options: dict[str, Any],
) -> Superclasses:
    """Group the classes, choose the particles, write all files, and say what was found.

    Args:
        work: says it.
        suffixes: of the particle files.
        table: all particles.
        labels: class of each, 0-based, −1 = unassigned.
        affinity: of the classes.
        options: the section `rebalance` of the configuration.
    """
    folder = work.folder.rebalance
    sizes = np.bincount(labels[labels >= 0], minlength=len(affinity))
    if len(sizes) > len(affinity):
        superclass_of_particle(labels, np.arange(len(affinity)))  # raises what is wrong
    chosen = _chosen(options["keep"], len(affinity))
    found = superclasses(
        affinity,
        options["superclasses"],
        seed=options["seed"],
        superclassify=options["superclassify"],
        excluded=~chosen | (sizes < options["min_class_size"]),
    )
    factor, largest = options["factor"], options["max_superclass_size"]
    kept = rebalance(labels, found.labels, factor, largest, options["seed"])
    if options["keep"]:
        kept &= labels >= 0
    remaining = np.bincount(labels[kept & (labels >= 0)], minlength=len(affinity))
    rows = {
        "class": np.arange(len(affinity)) + 1,
        "superclass": found.labels + 1,
        "size": sizes,
        "kept": remaining,
        "excluded": sizes - remaining,
    }
    write_npy(folder.affinity, affinity)
    write_tsv(folder.superclasses, pd.DataFrame(rows))
    of_superclass = superclass_sizes(labels, found.labels)
    summary = {
        "n_superclasses": found.n_superclasses,
        "suggested": found.suggested,
        "clear": found.clear,
        "warning": found.warning,
        "eigenvalues": found.eigenvalues.tolist(),
        "cap": size_cap(of_superclass, factor, largest),
        "equivalent_factor": equivalent_factor(of_superclass, largest) if largest else factor,
        "keep": options["keep"],
        "kept": int(kept.sum()),
        "excluded": int((~kept).sum()),
    }
    write_json(folder.summary, summary)
    superclass = superclass_of_particle(labels, found.labels) + 1
    for files, taken in ((folder.kept, kept), (folder.excluded, ~kept)):
        columns = {"emjaxSuperclass": superclass[taken]}
        for path in files.all(suffixes):
            write_particles(path, table.select(taken), columns)
    work.say(f"{found.n_superclasses} superclasses; {kept.sum()} of {len(kept)} particles kept")
    if largest:
        work.say(f"at most {largest} a superclass, as with factor {summary['equivalent_factor']:g}")
    if found.warning:
        work.say(found.warning)
    return found


def _chosen(keep: list[int] | None, n_classes: int) -> np.ndarray:
    """Whether each class was picked by number; all were where none is named."""
    missing = [number for number in keep or [] if number > n_classes]
    if missing:
        raise ValueError(
            f"rebalance.keep: found class {missing[0]}, expected numbers of 1 to {n_classes}"
        )
    return np.isin(np.arange(n_classes) + 1, keep) if keep else np.ones(n_classes, bool)
