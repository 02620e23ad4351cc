"""The files of a rebalancing, of consensus classes or of given ones."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.job import Job
from emjax.io.files import write_json, write_npy, write_tsv
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.rebalance.rebalancing import RebalanceOptions, Rebalancing, rebalance_classes


def write_rebalance(
    work: Job,
    suffixes: tuple[str, ...],
    table: ParticleSet,
    labels: np.ndarray,
    affinity: np.ndarray,
    options: dict[str, Any],
    blank: np.ndarray | None = None,
) -> Rebalancing:
    """Group the classes, choose the particles, write all files, and say what was found.

    Args:
        work: says it.
        suffixes: of the particle files.
        table: all particles.
        labels: class of each, 0-based, −1 = unassigned.
        affinity: of the classes.
        options: the section `rebalance` of the configuration.
        blank: classes whose average shows nothing.
    """
    folder = work.folder.rebalance
    known = {field.name for field in dataclasses.fields(RebalanceOptions)}
    chosen = RebalanceOptions(**{k: v for k, v in options.items() if k in known})
    found = rebalance_classes(labels, affinity, chosen, blank)
    write_npy(folder.affinity, affinity)
    write_tsv(folder.superclasses, pd.DataFrame(found.table()))
    write_json(folder.summary, found.record())
    for files, taken in ((folder.kept, found.kept), (folder.excluded, ~found.kept)):
        columns = {"emjaxSuperclass": found.superclass[taken] + 1}
        for path in files.all(suffixes):
            write_particles(path, table.select(taken), columns)
    for sentence in found.sentences():
        work.say(sentence)
    return found
