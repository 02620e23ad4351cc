"""What CryoSPARC's fields mean for each particle, in emjax's units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.aberrations import CS_NAMES, check_magnification, from_cs
from emjax.io.codecs import Fields
from emjax.io.cryosparc.tables import CsParticles, class_posteriors, has_slot
from emjax.io.fields import (
    ALIGNMENT_PIXEL_SIZE,
    CTF,
    FIELDS,
    IMAGE_PATH,
    MICROGRAPH_PATH,
    check_ranges,
    cs_column,
    neutral_ctf,
)


def cryosparc_fields(
    source: CsParticles, require_poses: bool = True, require_ctf: bool = True
) -> dict[str, np.ndarray]:
    """What a `.cs` table says of each particle, in emjax's units (Å, radians, 0-based).

    Args:
        source: the table.
        require_poses: whether particles without poses are an error; else those of a 2D alignment
            are taken, or the identity.
        require_ctf: whether particles without CTF are an error; else it is 1.

    Returns:
        As `relion_fields`, with uids as identity.

    Raises:
        InputError: for missing fields and values that cannot be.
    """
    shape_name = cs_column("image_box_size").name
    shape = source.numbers(shape_name, 2)
    square = shape[:, 0] == shape[:, 1]
    if not square.all():
        row = int(np.argmin(square))
        place = f"row {row + 1}, {shape_name}"
        raise InputError(source.file, place, source[shape_name][row], "square images")
    fields = {name: read_column(source, name) for name in ("image_pixel_size", "image_box_size")}
    for name, values in fields.items():
        where = f", {cs_column(name).name}"
        FIELDS[name].check(values, source.file, lambda row, where=where: f"row {row + 1}{where}")
    fields |= {"identity": source["uid"].astype(str), "image_path": _image_paths(source)}
    fields["index_in_stack"] = read_column(source, "index_in_stack")
    fields["rotations"], fields["shifts"] = _poses(source, fields, require_poses)
    fields["half"] = _half(source)
    own = ["optics_group", "contrast", "mirrored", "ctf_applied"]
    names = [*own, *[field.name for field in CTF if field.cs]]
    if not has_slot(source, "ctf") and not require_ctf:
        fields |= neutral_ctf(len(source))
        names = own[1:]
    elif not has_slot(source, "ctf"):
        expected = "ctf/… here or in a passthrough file"
        raise InputError(source.file, None, "no CTF fields", expected)
    for name in names:
        fields[name] = read_column(source, name, fields)
    fields.setdefault("optics_group", np.ones(len(source), np.int32))
    widths = {"ctf/tetra_A": 4, "ctf/anisomag": 4}
    columns = {n: source.numbers(n, widths.get(n, 2)) for n in CS_NAMES if n in source}
    check_ranges(fields, source.file, lambda row: f"row {row + 1}")
    fields |= from_cs(columns, fields["voltage"])
    check_magnification(fields["magnification"], source.file, lambda row: f"row {row + 1}")
    check_ranges(fields, source.file, lambda row: f"row {row + 1}")
    if MICROGRAPH_PATH in source:
        fields["micrograph"] = source.text(MICROGRAPH_PATH)
    return fields


def cryosparc_poses(source: CsParticles) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotations (RELION's A) and origins (Å) of a table; None where it has no poses.

    Raises:
        InputError: for values that are no numbers.
    """
    size = cs_column("image_pixel_size").name
    if not has_slot(source, "alignments3D") or size not in source:
        return None
    return _poses(source, {"image_pixel_size": source.numbers(size)}, True)


def read_column(source: CsParticles, name: str, fields: Fields | None = None) -> np.ndarray:
    """One field of the table in emjax's unit, or what its absence means.

    Args:
        source: the table.
        name: of the field in emjax.
        fields: those that its unit depends on.

    Raises:
        InputError: when it is required and missing, or not a column of finite numbers.
    """
    column, field = cs_column(name), FIELDS[name]
    if column.name not in source and not column.required:
        shape = (len(source),) if column.width is None else (len(source), column.width)
        return np.full(shape, field.absent, field.dtype)
    if column.dtype == "<u4" and column.width is None:
        values = source.integers(column.name)
    else:
        values = source.numbers(column.name, column.width)
    return column.decode(values, fields or {}).astype(field.dtype)


def _image_paths(source: CsParticles) -> np.ndarray:
    """Stack of each particle, without the `>` that stands for the project folder."""
    unique, inverse = np.unique(source.text(IMAGE_PATH), return_inverse=True)
    if "" in unique:
        row = int(np.argmax(unique[inverse] == ""))
        place = f"row {row + 1}, {IMAGE_PATH}"
        raise InputError(source.file, place, "no path", "an image stack")
    cleaned = np.array([str(Path(p.removeprefix(">"))) for p in unique.tolist()], np.str_)
    return cleaned[inverse]


def _half(source: CsParticles) -> np.ndarray:
    split = cs_column("half")
    for name in (split.name, split.name.replace("/", "_multi/")):
        if name in source and source[name].ndim == 1:
            values = source.integers(name)
            if len(np.unique(values)) > 1:  # else the particles were not split
                return split.decode(values, {}).astype(FIELDS["half"].dtype)
    return np.zeros(len(source), FIELDS["half"].dtype)


def _poses(
    source: CsParticles, fields: dict[str, np.ndarray], require: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation matrices (RELION's A) and shifts in Å; of several classes, the likeliest one's."""
    rotation, shift = cs_column("rotations"), cs_column("shifts")
    multi = rotation.name.replace("/", "_multi/")
    unit_name = ALIGNMENT_PIXEL_SIZE
    if rotation.name in source:
        pose, moved = (source.numbers(column.name, column.width) for column in (rotation, shift))
    elif multi in source:
        best = class_posteriors(source).argmax(1)
        pose, moved = (
            _of_class(source, column.name.replace("/", "_multi/"), best)
            for column in (rotation, shift)
        )
        unit_name = unit_name.replace("/", "_multi/")
    elif require:
        expected = f"{rotation.name} here or in a passthrough file"
        raise InputError(source.file, None, "no poses", expected)
    else:
        return _poses_in_plane(source)
    unit = source.numbers(cs_column("image_pixel_size").name)
    if unit_name in source and source[unit_name].ndim == 1:
        unit = source.numbers(unit_name)
    return rotation.decode(pose, fields), shift.decode(moved, {"image_pixel_size": unit})


def _poses_in_plane(source: CsParticles) -> tuple[np.ndarray, np.ndarray]:
    """Rotations about the beam and shifts in Å of a 2D alignment; none of others."""
    pose, shift = np.zeros((len(source), 3)), np.zeros((len(source), 2))
    if "alignments2D/pose" in source and "alignments2D/shift" in source:
        pose[:, 2] = source.numbers("alignments2D/pose")
        unit = cs_column("image_pixel_size").name
        own = "alignments2D/psize_A"
        size = source.numbers(own if own in source else unit)
        shift = source.numbers("alignments2D/shift", 2) * size[:, None]
    return cs_column("rotations").decode(pose, {}), shift


def _of_class(source: CsParticles, name: str, best: np.ndarray) -> np.ndarray:
    values = source[name]
    if values.ndim != 3 or values.dtype.kind != "f" or not np.isfinite(values).all():
        found = f"{values.dtype} of shape {values.shape[1:]}, or NaN"
        raise InputError(source.file, name, found, "finite numbers, one vector per class")
    return values[np.arange(len(values)), best].astype(np.float64)
