"""Changes of a few particles written into a file that otherwise stays as it is."""

from __future__ import annotations

import numpy as np

from emjax.io.cryosparc.tables import CsParticles, matrix_to_pose
from emjax.io.particles.columns import replace_fields, with_star_columns
from emjax.io.star.relion import ANGLES, StarParticles, matrix_to_euler
from emjax.io.star.tables import format_column

Rows = dict[str, np.ndarray]


def updated_star(source: StarParticles, fields: Rows, changed: Rows) -> StarParticles:
    """The STAR file with the changed rows of the columns concerned rewritten.

    Args:
        source: the file.
        fields: what the particles say now, by field name.
        changed: field name to the rows that changed.
    """
    table = source.particles
    columns: dict[str, list[str]] = {}
    for name, rows in changed.items():
        for label, values in _star_values(source, name, fields).items():
            new = format_column(values)
            if label in table:
                old = table.text(label)
                new = [n if row else o for n, o, row in zip(new, old, rows, strict=True)]
            columns[label] = new
    return with_star_columns(source, {k: np.array(v) for k, v in columns.items()})


def _star_values(source: StarParticles, name: str, fields: Rows) -> Rows:
    """Columns of one field, in the form the file uses."""
    values = fields[name]
    if name == "rotations":
        return dict(zip(ANGLES, np.round(matrix_to_euler(values), 7).T, strict=True))
    if name == "shifts":
        if "rlnOriginX" in source.particles and "rlnOriginXAngst" not in source.particles:
            pixels = np.round(values / fields["image_pixel_size"][:, None], 7)
            return {"rlnOriginX": pixels[:, 0], "rlnOriginY": pixels[:, 1]}
        rounded = np.round(values, 6)
        return {"rlnOriginXAngst": rounded[:, 0], "rlnOriginYAngst": rounded[:, 1]}
    labels = {
        "defocus_u": "rlnDefocusU",
        "defocus_v": "rlnDefocusV",
        "defocus_angle": "rlnDefocusAngle",
        "phase_shift": "rlnPhaseShift",
        "half": "rlnRandomSubset",
        "class_number": "rlnClassNumber",
        "posterior": "rlnMaxValueProbDistribution",
    }
    if name not in labels:
        return {}
    if name in ("defocus_angle", "phase_shift"):
        values = np.round(np.rad2deg(values), 6)
    elif name in ("half", "class_number"):
        values = values.astype(np.int64)
    else:
        values = np.round(values, 6)
    return {labels[name]: values}


def updated_cs(source: CsParticles, fields: Rows, changed: Rows) -> np.ndarray:
    """The records with the changed rows of the fields concerned rewritten.

    Args:
        source: the table.
        fields: what the particles say now, by field name.
        changed: field name to the rows that changed.
    """
    new: Rows = {}
    for name, rows in changed.items():
        for field, values in _cs_values(source, name, fields).items():
            if field in source and source[field].shape == values.shape:
                old = source[field]
                wide = rows.reshape(-1, *[1] * (old.ndim - 1))
                values = np.where(wide, values.astype(old.dtype), old)
            new[field] = values
    return replace_fields(source.records, new)


def _cs_values(source: CsParticles, name: str, fields: Rows) -> Rows:
    values = fields[name]
    if name == "rotations":
        return {"alignments3D/pose": matrix_to_pose(values).astype("<f4")}
    if name == "shifts":
        size = fields["image_pixel_size"]
        if "alignments3D/psize_A" in source:
            size = source.numbers("alignments3D/psize_A")
        pixels = values / size[:, None]
        return {
            "alignments3D/shift": pixels.astype("<f4"),
            "alignments3D/psize_A": size.astype("<f4"),
        }
    names = {
        "defocus_u": ("ctf/df1_A", "<f4", 0),
        "defocus_v": ("ctf/df2_A", "<f4", 0),
        "defocus_angle": ("ctf/df_angle_rad", "<f4", 0),
        "phase_shift": ("ctf/phase_shift_rad", "<f4", 0),
        "half": ("alignments3D/split", "<u4", 1),
        "class_number": ("alignments3D/class", "<u4", 1),
        "posterior": ("alignments3D/class_posterior", "<f4", 0),
    }
    if name not in names:
        return {}
    field, dtype, base = names[name]
    found = {field: np.maximum(values - base, 0).astype(dtype) if base else values.astype(dtype)}
    if name == "class_number":
        found["emjax/class_number"] = values.astype("<i4")
    return found
