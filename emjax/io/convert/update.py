"""Changes of a few particles written into a file that otherwise stays as it is."""

from __future__ import annotations

import numpy as np

from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import ALIGNMENT_PIXEL_SIZE, CS_CLASS_NUMBER, FIELDS
from emjax.io.particles.columns import encoded, replace_fields, with_star_columns
from emjax.io.star.relion import StarParticles
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
    columns, table = FIELDS[name].star, source.particles
    # A particle cannot change the optics of its whole group; the comparison afterwards says so.
    if columns is None or (columns.optics and columns.labels[0] not in table):
        return {}
    if columns.pixels and columns.pixels[0] in table and columns.labels[0] not in table:
        return columns.encode_pixels(fields[name], fields)
    return columns.encode(fields[name], fields)


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
    """Fields of the table for one of ours, in the unit the table uses."""
    if FIELDS[name].cs is None:
        return {}
    if name == "shifts":
        size = fields["image_pixel_size"]
        if ALIGNMENT_PIXEL_SIZE in source:
            size = source.numbers(ALIGNMENT_PIXEL_SIZE)
        fields = fields | {"image_pixel_size": size}
        return encoded(fields, name) | {ALIGNMENT_PIXEL_SIZE: size.astype("<f4")}
    found = encoded(fields, name)
    if name == "class_number":
        found[CS_CLASS_NUMBER] = fields[name].astype("<i4")
    return found
