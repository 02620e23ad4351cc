"""The consensus of a finished campaign, as files for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.export.classes import consensus_classes
from emjax.io.export.programs import FORMATS, export_campaign
from emjax.io.fields import label
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.star.relion import particle_keys
from emjax.io.star.tables import read_star

_COLUMNS = (
    label("class_number"),
    label("posterior"),
    "emjaxStability",
    "emjaxClassPosterior",
)


def export_results(
    results: str | Path, particles: ParticleSet, formats: tuple[str, ...] = FORMATS
) -> list[Path]:
    """Write `export/` of a campaign from its `consensus/`.

    Args:
        results: `results/<campaign>`.
        particles: the campaign's input, read with its images.
        formats: any of `FORMATS`.

    Returns:
        The files written.

    Raises:
        InputError: when maps are missing or the consensus is one of other particles.
    """
    consensus = Path(results) / "consensus"
    table = read_star(consensus / "particles.star")["particles"]
    if not np.array_equal(particle_keys(table), particles.identity):
        expected = f"those of {particles.source.file}"
        raise InputError(table.file, None, "other particles or another order", expected)
    columns = {name: table.numbers(name) for name in _COLUMNS if name in table}
    # Half-sets as the exported half-maps have them, also where the input came without.
    for name in (label("class_number"), label("half")):
        if name in table:
            columns[name] = table.integers(name)
    classes = consensus_classes(consensus)
    return export_campaign(Path(results) / "export", particles, columns, classes, formats)
