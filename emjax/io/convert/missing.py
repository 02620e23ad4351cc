"""Columns of a particle file that the other program has no place for."""

from __future__ import annotations

import numpy as np

from emjax.io.aberrations import CS_NAMES, EVEN, ODD, STAR_LABELS
from emjax.io.convert.translate import COORDINATES
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import (
    ALIGNMENT_PIXEL_SIZE,
    CS_CLASS_NUMBER,
    CTF_FLAGS,
    FIELDS,
    IMAGE_NAME,
    IMAGE_PATH,
    MICROGRAPH_NAME,
    MICROGRAPH_PATH,
    ORIGINAL_NAME,
    UID,
)
from emjax.io.star.fields import relion_fields
from emjax.io.star.optics import phase_left_out
from emjax.io.star.relion import StarParticles

_STAR = {
    *(name for f in FIELDS.values() if f.star for name in (*f.star.labels, *f.star.pixels)),
    *(IMAGE_NAME, MICROGRAPH_NAME, UID, ORIGINAL_NAME, *STAR_LABELS, *CTF_FLAGS),
    *("rlnOpticsGroupName", "rlnImageDimensionality"),
    *("rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification"),
}
_CS = {
    *(f.cs.name for f in FIELDS.values() if f.cs),
    *("uid", IMAGE_PATH, MICROGRAPH_PATH, ALIGNMENT_PIXEL_SIZE, CS_CLASS_NUMBER),
    *("ctf/type", "ctf/scale_const", *CS_NAMES, *COORDINATES),
}
_FLAGS = ("mirrored", "ctf_applied")  # in `.cs` tables emjax's own, which CryoSPARC ignores


def left_out(source: StarParticles | CsParticles) -> tuple[str, ...]:
    """Names of columns that a translation leaves out, or writes where only emjax looks."""
    if isinstance(source, CsParticles):
        unknown = [name for name in source.names if name not in _CS]
        # Of several classes, the pose of the likeliest one is taken.
        return tuple(n for n in unknown if n.replace("_multi/", "/") not in _CS)
    tables = [t for t in (source.optics, source.particles) if t is not None]
    labels = list(dict.fromkeys(label for table in tables for label in table.labels))
    unknown = [f"_{label}" for label in labels if label not in _STAR]
    fields = relion_fields(source, require_poses=False)
    own = [FIELDS[n] for n in _FLAGS if np.any(fields[n] != FIELDS[n].absent)]
    unknown += [f"{field.name.replace('_', ' ')} ({field.unit})" for field in own]
    if phase_left_out(source, 1.0) > 0:
        unknown.append(f"terms of _{ODD} and _{EVEN} above the fourth order")
    return tuple(unknown)
