"""What was done to the images with their CTF, where the user knows better than the file."""

from __future__ import annotations

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import CTF_FLAGS, cs_column
from emjax.io.particles.columns import replace_fields
from emjax.io.star.relion import StarParticles

CHOICES = ("auto", "none", "phase_flipped", "premultiplied")
"""After the first in the order of `ctf_applied`."""

Source = StarParticles | CsParticles


def believed_ctf(source: Source, fields: dict[str, np.ndarray], choice: str) -> Source:
    """The particle file with what was done to its images; `fields` follow.

    Args:
        source: the particle file.
        fields: what it says of each particle; `ctf_applied` is changed in place.
        choice: one of `CHOICES`; `auto` believes the file.

    Raises:
        InputError: where it is none of them.
    """
    if choice not in CHOICES:
        raise InputError(None, "ctf_in_images", choice, "one of " + ", ".join(CHOICES))
    if choice == "auto":
        return source
    number = CHOICES.index(choice) - 1
    fields["ctf_applied"] = np.full_like(fields["ctf_applied"], number)
    return _rewritten(source, number)


def _rewritten(source: Source, number: int) -> Source:
    """The file that says so, so that all that is written from it does."""
    if isinstance(source, CsParticles):
        column = cs_column("ctf_applied")
        values = np.full(len(source), number, column.dtype)
        records = replace_fields(source.records, {column.name: values})
        return CsParticles(source.file, records, source.passthrough)
    flags = {name: number == i for i, name in enumerate(CTF_FLAGS, 1)}
    optics = source.optics
    table = source.particles if optics is None else optics
    written = {name: np.full(len(table), int(flag)) for name, flag in flags.items()}
    if optics is None:
        return source.with_particles(source.particles.with_columns(written))
    star = source.star.with_table(optics.with_columns(written))
    changed = StarParticles(star, source.particles_name, source.optics_name)
    # Those of single particles come before their group's.
    own = {
        n: np.full(len(source.particles), int(v)) for n, v in flags.items() if n in source.particles
    }
    return changed.with_particles(changed.particles.with_columns(own)) if own else changed
