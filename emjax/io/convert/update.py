"""Changes of a few particles written into a file that otherwise stays as it is."""

from __future__ import annotations

import numpy as np

from emjax.errors import InputError
from emjax.io.aberrations import CS_NAMES, EVEN, MAGNIFICATION, ODD, TILT, to_cs, to_star, zernike
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import ALIGNMENT_PIXEL_SIZE, CS_CLASS_NUMBER, FIELDS
from emjax.io.particles.columns import encoded, replace_fields, with_star_columns
from emjax.io.star.optics import groups, optics_rows
from emjax.io.star.relion import StarParticles
from emjax.io.star.tables import StarTable, format_column

Rows = dict[str, np.ndarray]
_STAR_OF = {
    "odd_aberration": (*TILT, ODD),
    "even_aberration": (EVEN,),
    "magnification": MAGNIFICATION,
}
_CS_OF = {
    "odd_aberration": CS_NAMES[:3],
    "even_aberration": CS_NAMES[3:4],
    "magnification": CS_NAMES[4:],
}
_NEUTRAL = dict.fromkeys((*TILT, *MAGNIFICATION), "0.0") | {
    MAGNIFICATION[0]: "1.0",
    MAGNIFICATION[3]: "1.0",
    ODD: "[0,0,0,0,0,0]",
    EVEN: "[0,0,0,0,0,0,0,0,0]",
}
_FOLDED = (
    "even_aberration",
    "phase_shift",
    "spherical_aberration",
    "defocus_u",
    "defocus_v",
    "defocus_angle",
)
"""What even terms of a STAR file are read as."""


def updated_star(source: StarParticles, fields: Rows, changed: Rows) -> StarParticles:
    """The STAR file with the changed rows of the columns concerned rewritten.

    Args:
        source: the file.
        fields: what the particles say now, by field name.
        changed: field name to the rows that changed.

    Raises:
        InputError: where particles of one optics group changed their optics differently.
    """
    table = source.particles
    every = np.ones(len(table), bool)
    folded = any(name in changed for name in (*_FOLDED, "odd_aberration"))
    if folded and _has(source, EVEN):
        # These terms are part of defocus and Cs now, and leave their column.
        changed = changed | dict.fromkeys(_FOLDED, every)
    if "spherical_aberration" in changed or "voltage" in changed:
        # The same coma is another beam tilt.
        changed = changed | {"odd_aberration": every}
    columns: dict[str, list[str]] = {}
    optics: dict[str, list[str]] = {}
    for name, rows in changed.items():
        for label, new in _star_values(source, name, fields).items():
            own = label in table or not _in_optics(source, name)
            if label in table:
                old = table.text(label)
                new = [n if row else o for n, o, row in zip(new, old, rows, strict=True)]
            (columns if own else optics)[label] = new
    source = with_star_columns(source, {k: np.array(v) for k, v in columns.items()})
    return _with_optics(source, optics) if optics else source


def _has(source: StarParticles, label: str) -> bool:
    return any(label in t for t in (source.particles, source.optics) if t is not None)


def _in_optics(source: StarParticles, name: str) -> bool:
    """Whether a field belongs to the optics groups of the file."""
    columns = FIELDS[name].star
    return source.optics is not None and (name in _STAR_OF or bool(columns and columns.optics))


def _with_optics(source: StarParticles, columns: dict[str, list[str]]) -> StarParticles:
    """The file with columns of its optics table, given by particle, replaced or appended."""
    optics, group = source.optics, groups(source)
    assert optics is not None and group is not None
    rows = optics_rows(source, group)
    new = {}
    for label, values in columns.items():
        texts = optics.text(label) if label in optics else [_NEUTRAL[label]] * len(optics)
        for row in np.unique(rows):
            own = sorted({values[i] for i in np.flatnonzero(rows == row)})
            if len(own) > 1:
                place = f"{optics.where(int(row))}, _{label}"
                expected = "one value for the group; convert without the passthrough file"
                raise InputError(source.file, place, f"{own[0]} and {own[1]}", expected)
            texts[int(row)] = own[0]
        new[label] = np.array(texts)
    changed: StarTable = optics.with_columns(new)
    return StarParticles(source.star.with_table(changed), source.particles_name, optics.name)


def _star_values(source: StarParticles, name: str, fields: Rows) -> dict[str, list[str]]:
    """Columns of one field as text, in the form the file uses."""
    if name in _STAR_OF:
        terms, n = to_star(fields), len(fields["voltage"])
        texts = {k: format_column(v) if v.ndim == 1 else zernike(v) for k, v in terms.items()}
        return {
            label: texts.get(label, [_NEUTRAL[label]] * n)
            for label in _STAR_OF[name]
            if label in texts or _has(source, label)
        }
    columns, table = FIELDS[name].star, source.particles
    if columns is None:
        return {}
    if columns.pixels and columns.pixels[0] in table and columns.labels[0] not in table:
        values = columns.encode_pixels(fields[name], fields)
    else:
        values = columns.encode(fields[name], fields)
    return {label: format_column(column) for label, column in values.items()}


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
    if name in _CS_OF:
        return {field: to_cs(fields)[field] for field in _CS_OF[name]}
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
