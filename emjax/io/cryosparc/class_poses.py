"""Poses of every class as CryoSPARC v2 wrote them: `alignments_class_0/pose` and on."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from emjax.io.cryosparc.tables import CsParticles

_FIELD = re.compile(r"alignments_class_(\d+)/pose")
_PER_CLASS = ("pose", "shift", "class_posterior")
_COMMON = ("split", "psize_A")


def with_class_poses(source: CsParticles) -> CsParticles:
    """The table with these fields as later versions name them, `alignments3D_multi/…`."""
    classes = sorted(int(match[1]) for match in map(_FIELD.fullmatch, source.names) if match)
    if not classes or any(name.startswith("alignments3D") for name in source.names):
        return source
    columns = {"uid": source["uid"]}
    for name in _PER_CLASS:
        values = [source[f"alignments_class_{k}/{name}"] for k in classes]
        if len({(value.dtype, value.shape) for value in values}) == 1:
            columns[f"alignments3D_multi/{name}"] = np.stack(values, axis=1)
    for name in _COMMON:
        if (own := f"alignments_class_{classes[0]}/{name}") in source:
            columns[f"alignments3D_multi/{name}"] = source[own]
    kinds = [(name, value.dtype, value.shape[1:]) for name, value in columns.items()]
    table = np.empty(len(source), np.dtype(kinds))
    for name, value in columns.items():
        table[name] = value
    return replace(source, passthrough=(*source.passthrough, table))
