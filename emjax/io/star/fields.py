"""What RELION's columns mean for each particle, in emjax's units."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from emjax.errors import InputError
from emjax.io.aberrations import check_magnification, from_star
from emjax.io.fields import (
    CTF,
    FIELDS,
    MICROGRAPH_NAME,
    ORIGINAL_NAME,
    UID,
    Field,
    check_ranges,
    label,
    neutral_ctf,
    star_columns,
)
from emjax.io.star.optics import (
    aberration_columns,
    ctf_applied,
    groups,
    optics_rows,
    refuse_tilt_series,
)
from emjax.io.star.relion import StarParticles, distinct, image_names, keys_of, particle_keys
from emjax.io.star.tables import StarTable

_BOX, _DIMENSIONS = label("image_box_size"), "rlnImageDimensionality"
_PIXEL_SIZES = (label("image_pixel_size"), "rlnPixelSize")


def relion_fields(
    source: StarParticles, require_poses: bool = True, require_ctf: bool = True
) -> dict[str, np.ndarray]:
    """What a particle STAR file says of each particle, in emjax's units (Å, radians, 0-based).

    Args:
        source: the file.
        require_poses: whether particles without angles are an error; else those missing are 0.
        require_ctf: whether particles without defocus are an error; else their CTF is 1.

    Returns:
        The per-particle fields of `ParticleSet`, `image_path` (as written), `image_pixel_size`
        and `image_box_size` (0 where the file does not say).

    Raises:
        InputError: for missing columns and values that cannot be.
    """
    # The copy's split columns go away with it.
    source = source.with_particles(replace(source.particles))
    table = source.particles
    group, rows, pixel_size, box_size = _optics(source)
    image_path, index = image_names(table)
    fields = {
        "image_path": image_path,
        "index_in_stack": index,
        "optics_group": group,
        "image_pixel_size": pixel_size,
        "image_box_size": box_size,
        "rotations": _rotations(table, require_poses),
        "shifts": _shifts(table, pixel_size),
        "half": _own(table, "half"),
        **_ctf(source, group, require_ctf),
        "contrast": _own(table, "contrast"),
        "mirrored": _own(table, "mirrored"),
        "ctf_applied": ctf_applied(source, rows),
    }
    # Before wavelengths are made of it.
    check_ranges({"voltage": fields["voltage"]}, table.file, table.where)
    fields |= from_star(aberration_columns(source, rows), fields)
    check_magnification(fields["magnification"], table.file, table.where)
    check_ranges(fields, table.file, table.where)
    if len(np.unique(fields["half"])) < 2:  # a single half-set is none
        fields["half"] = np.zeros_like(fields["half"])
    if UID in table or ORIGINAL_NAME in table:
        fields["identity"] = particle_keys(table)
    else:
        fields["identity"] = distinct(keys_of(image_path, index))
    if MICROGRAPH_NAME in table:
        fields["micrograph"] = np.array(table.text(MICROGRAPH_NAME), np.str_)
    return fields


def _own(table: StarTable, name: str) -> np.ndarray:
    """A whole number of each particle, or what its absence means."""
    field, column = FIELDS[name], label(name)
    if column not in table:
        return np.full(len(table), field.absent, field.dtype)
    values = _checked(table, column, table.integers(column), name)
    return star_columns(name).codec.decode(values, {}).astype(field.dtype)


def _optics(
    source: StarParticles,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Optics group of each particle, its row in their table, pixel size in Å and box size."""
    table, optics = source.particles, source.optics
    n = len(table)
    refuse_tilt_series(source)
    group = groups(source)
    if optics is None or group is None:
        box = table.integers(_BOX) if _BOX in table else np.zeros(n, np.int64)
        return np.ones(n, np.int32), None, _flat_pixel_size(source), box
    row_of = optics_rows(source, group)
    if _DIMENSIONS in optics:
        values = optics.integers(_DIMENSIONS)
        if (values != 2).any():
            row = int(np.argmax(values != 2))
            place = f"{optics.where(row)}, _{_DIMENSIONS}"
            raise InputError(optics.file, place, values[row], "2: images")
    name = next((c for c in _PIXEL_SIZES if c in optics), None)
    if name is None:
        place = f"data_{optics.name}"
        raise InputError(optics.file, place, f"no column _{_PIXEL_SIZES[0]}", "pixel sizes in Å")
    pixel_size = _checked(optics, name, optics.numbers(name), "image_pixel_size")[row_of]
    box = np.zeros(n, np.int64)
    if _BOX in optics:
        box = _checked(optics, _BOX, optics.integers(_BOX), "image_box_size")[row_of]
    return group.astype(np.int32), row_of, pixel_size, box


def has_pixel_size(source: StarParticles) -> bool:
    """Whether the file says how large its pixels are."""
    table, optics = source.particles, source.optics
    where = table if optics is None or groups(source) is None else optics
    detector = "rlnDetectorPixelSize" in table and "rlnMagnification" in table
    return any(name in where for name in _PIXEL_SIZES) or (where is table and detector)


def _flat_pixel_size(source: StarParticles) -> np.ndarray:
    """Pixel size of RELION 3.0: from the column, or from detector and magnification."""
    table = source.particles
    for column in reversed(_PIXEL_SIZES):
        if column in table:
            return _checked(table, column, table.numbers(column), "image_pixel_size")
    if "rlnDetectorPixelSize" in table and "rlnMagnification" in table:
        detector, magnification = (
            _positive(table, column) for column in ("rlnDetectorPixelSize", "rlnMagnification")
        )
        sizes = np.round(detector * 1e4 / magnification, 9)
        columns = "rlnDetectorPixelSize, _rlnMagnification"
        return _checked(table, columns, sizes, "image_pixel_size")
    expected = (
        f"data_optics with _{_PIXEL_SIZES[0]}, or _rlnDetectorPixelSize and _rlnMagnification"
    )
    raise InputError(table.file, f"data_{table.name}", "no pixel size", expected)


def _checked(table: StarTable, column: str, values: np.ndarray, name: str) -> np.ndarray:
    FIELDS[name].check(values, table.file, lambda row: f"{table.where(row)}, _{column}")
    return values


def _positive(table: StarTable, column: str) -> np.ndarray:
    values = table.numbers(column)
    good = (values > 0) & (values < 1e9)
    if not good.all():
        row = int(np.argmin(good))
        place = f"{table.where(row)}, _{column}"
        raise InputError(table.file, place, values[row], "a value above 0, in its unit")
    return values


def relion_poses(table: StarTable, pixel_size: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotations and origins (Å) of a table; None where it has no angles.

    Args:
        table: with RELION's columns.
        pixel_size: Å, of origins in pixels (RELION 3.0).

    Raises:
        InputError: for values that are no numbers.
    """
    if any(column not in table for column in star_columns("rotations").labels):
        return None
    return _rotations(table, True), _shifts(table, np.full(len(table), pixel_size))


def _rotations(table: StarTable, require: bool) -> np.ndarray:
    angles = star_columns("rotations")
    missing = [column for column in angles.labels if column not in table]
    if missing and require:
        found = "no columns " + ", ".join(f"_{column}" for column in missing)
        raise InputError(table.file, f"data_{table.name}", found, "particles with angles")
    # Of images aligned in 2D psi is known.
    none = np.zeros(len(table))
    values = [none if column in missing else table.numbers(column) for column in angles.labels]
    return angles.codec.decode(np.stack(values, axis=1), {})


def _shifts(table: StarTable, pixel_size: np.ndarray) -> np.ndarray:
    """Shifts in Å; RELION 3.0 writes them in pixels."""
    origins = star_columns("shifts")
    columns = []
    for column, old in zip(origins.labels, origins.pixels, strict=True):
        if column in table:
            columns.append(table.numbers(column))
        elif old in table:
            columns.append(table.numbers(old) * pixel_size)
        else:
            columns.append(np.zeros(len(table)))
    return np.stack(columns, axis=1)


def has_ctf(source: StarParticles) -> bool:
    """Whether every particle has CTF parameters of its own."""
    return not _without_ctf(source)


def _ctf(source: StarParticles, group: np.ndarray, require: bool) -> dict[str, np.ndarray]:
    """CTF parameters in emjax's units; per particle first, then of the optics group."""
    table = source.particles
    missing = _without_ctf(source)
    if missing and not require:
        return neutral_ctf(len(table))
    if missing:
        found = "no CTF columns (" + ", ".join(f"_{column}" for column in missing) + ")"
        raise InputError(table.file, f"data_{table.name}", found, "defocus of every particle")
    fields: dict[str, np.ndarray] = {}
    for field in CTF:
        if field.star:
            values = _of_group(source, field, group)
            fields[field.name] = field.star.codec.decode(values, fields)
    return fields


def _without_ctf(source: StarParticles) -> list[str]:
    """CTF columns that are not there."""
    return [column for field in CTF if field.star for column in _missing(source, field)]


def _missing(source: StarParticles, field: Field) -> list[str]:
    """Columns that every particle must have of its own."""
    columns = star_columns(field.name)
    own = columns.required and not columns.optics
    return [column for column in columns.labels if own and column not in source.particles]


def _of_group(source: StarParticles, field: Field, group: np.ndarray) -> np.ndarray:
    """One value or row of components per particle, as the file has them."""
    columns, table, optics = star_columns(field.name), source.particles, source.optics
    values = []
    for column in columns.labels:
        if column in table:
            values.append(table.numbers(column))
        elif optics is not None and column in optics and groups(source) is not None:
            values.append(optics.numbers(column)[optics_rows(source, group)])
        elif columns.required:
            expected = "it in data_optics or in the particle table"
            raise InputError(table.file, None, f"no CTF column _{column}", expected)
        else:
            if columns.warn:
                note = f"{table.file}: no _{column}; taken as {field.absent:.1f}, as RELION does"
                warnings.warn(note, stacklevel=2)
            values.append(np.full(len(table), field.absent, np.float64))
    return values[0] if len(values) == 1 else np.stack(values, axis=1)
