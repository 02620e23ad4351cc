"""Classes of a finished campaign, as files for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.export.classes import ExportedClass
from emjax.io.export.programs import FORMATS, export_campaign
from emjax.io.fields import FIT, REFINED_POSE, SET_ASIDE, label
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.star.relion import particle_keys
from emjax.io.star.tables import read_star

_COLUMNS = (
    label("class_number"),
    label("posterior"),
    "emjaxStability",
    "emjaxClassPosterior",
    FIT,
    *REFINED_POSE,
)


def export_results(
    target: Path,
    labels: Path,
    classes: list[ExportedClass],
    particles: ParticleSet,
    formats: tuple[str, ...] = FORMATS,
    superclasses: np.ndarray | None = None,
) -> list[Path]:
    """Write the classes of a campaign and its particles for other programs.

    Args:
        target: folder to write to.
        labels: STAR file with the class, posterior, stability and fit of every particle, and why it
            has no class.
        classes: maps by number of the class.
        particles: the campaign's input, read with its images.
        formats: any of `FORMATS`.
        superclasses: number of the superclass of each class, from 1; None: there are none.

    Returns:
        The files written.

    Raises:
        InputError: when a map is missing or the labels are those of other particles.
    """
    table = read_star(labels)["particles"]
    if not np.array_equal(particle_keys(table), particles.identity):
        expected = f"those of {particles.source.file}"
        raise InputError(table.file, None, "other particles or another order", expected)
    columns = {name: table.numbers(name) for name in _COLUMNS if name in table}
    # Half-sets as the exported half-maps have them, also where the input came without.
    for name in (label("class_number"), label("half"), label("intersection")):
        if name in table:
            columns[name] = table.integers(name)
    if SET_ASIDE in table:
        columns[SET_ASIDE] = np.array(table.text(SET_ASIDE))
    return export_campaign(target, particles, columns, classes, formats, superclasses)
