"""Columns added to particle files of either kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.codecs import Fields
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import (
    ALIGNMENT_PIXEL_SIZE,
    IMAGE_NAME,
    ORIGINAL_NAME,
    REFINED_POSE,
    SET_ASIDE,
    SET_ASIDE_REASONS,
    UID,
    cs_column,
    label,
    star_columns,
)
from emjax.io.poses import euler_to_matrix, matrix_to_euler
from emjax.io.star.relion import StarParticles, image_keys


def has_poses(source: StarParticles | CsParticles) -> bool:
    """Whether the file has the orientation of each particle."""
    if isinstance(source, StarParticles):
        return all(column in source.particles for column in star_columns("rotations").labels)
    pose = cs_column("rotations").name
    return pose in source or pose.replace("/", "_multi/") in source


def has_plane_alignment(source: StarParticles | CsParticles) -> bool:
    """Whether the file says how each image is rotated in its plane."""
    if isinstance(source, StarParticles):
        return star_columns("rotations").labels[2] in source.particles
    return has_poses(source) or "alignments2D/pose" in source


def has_ctf(source: StarParticles | CsParticles) -> bool:
    """Whether the file has the defocus of each particle."""
    if isinstance(source, StarParticles):
        return label("defocus_u") in source.particles
    return cs_column("defocus_u").name in source


def set_aside(source: StarParticles | CsParticles) -> np.ndarray:
    """Why each particle takes no part in the classes, `none` where it does.

    Raises:
        InputError: where the file does not say, or says something else.
    """
    if isinstance(source, CsParticles):
        reasons = np.char.decode(source[_field_name(SET_ASIDE)], "utf-8")
    else:
        reasons = np.array(source.particles.text(SET_ASIDE))
    unknown = sorted(set(reasons.tolist()) - set(SET_ASIDE_REASONS))
    if unknown:
        raise InputError(source.file, SET_ASIDE, unknown[0], " or ".join(SET_ASIDE_REASONS))
    return reasons


def refined_columns(rotations: np.ndarray, shifts: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of poses other than the input's.

    Args:
        rotations: RELION's A, `[n, 3, 3]`.
        shifts: origins in Å, `[n, 2]`.
    """
    values = [*matrix_to_euler(rotations).round(6).T, *shifts.astype(float).round(6).T]
    return dict(zip(REFINED_POSE, values, strict=True))


def refined_poses(source: StarParticles) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotations and origins (Å) of `refined_columns`; None where the file has none."""
    if REFINED_POSE[0] not in source.particles:
        return None
    values = np.stack([source.particles.numbers(name) for name in REFINED_POSE], 1)
    return euler_to_matrix(values[:, :3]), values[:, 3:]


def as_bytes(text: np.ndarray) -> np.ndarray:
    """Text as the UTF-8 bytes that `.cs` tables hold."""
    return np.char.encode(text.astype(np.str_), "utf-8")


def make_records(columns: dict[str, np.ndarray]) -> np.ndarray:
    """A structured array from columns of equal length."""
    described = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    records = np.empty(len(next(iter(columns.values()))), np.dtype(described))
    for name, values in columns.items():
        records[name] = values
    return records


def merged_records(source: CsParticles) -> np.ndarray:
    """One table of all fields, those of the passthrough files included."""
    return make_records({name: source[name] for name in source.names})


def with_star_columns(source: StarParticles, columns: dict[str, np.ndarray]) -> StarParticles:
    """The file with columns replaced or appended to its particle table."""
    return source.with_particles(source.particles.with_columns(columns))


def with_cs_columns(source: CsParticles, columns: dict[str, np.ndarray]) -> np.ndarray:
    """The records with columns, named as in STAR files, in the fields CryoSPARC reads.

    Class numbers go to `alignments3D/class` (0-based) with their posterior; `emjax/…` fields keep
    every column as it is, so that 0 (unassigned) is not lost.
    """
    new: dict[str, np.ndarray] = {}
    n = len(source)
    for column, values in columns.items():
        values = np.asarray(values)
        if len(values) != n:
            raise InputError(source.file, column, f"{len(values)} values", f"{n} rows")
        new[_field_name(column)] = _storable(values)
    if label("class_number") in columns:
        number = np.asarray(columns[label("class_number")])
        posterior = np.asarray(columns.get(label("posterior"), np.ones(n)))
        known = {"class_number": number, "posterior": np.where(number > 0, posterior, 0)}
        new |= encoded(known, *known)
        if cs_column("rotations").name not in source and has_poses(source):
            fields = cryosparc_fields(source)
            new |= encoded(fields, "half", "rotations", "shifts")
            new[ALIGNMENT_PIXEL_SIZE] = fields["image_pixel_size"].astype("<f4")
    if label("half") in columns:
        new |= encoded({"half": np.asarray(columns[label("half")])}, "half")
    return replace_fields(source.records, new)


def encoded(fields: Fields, *names: str) -> dict[str, np.ndarray]:
    """Fields as a `.cs` table stores them, by its names."""
    return {cs_column(name).name: cs_column(name).encode(fields[name], fields) for name in names}


def replace_fields(records: np.ndarray, new: dict[str, np.ndarray]) -> np.ndarray:
    """The records with fields replaced (in their own type) or appended."""
    names = records.dtype.names or ()
    columns = {name: records[name] for name in names}
    for name, values in new.items():
        columns[name] = values.astype(records.dtype[name].base) if name in names else values
    return make_records(columns)


def _field_name(column: str) -> str:
    """`rlnClassNumber` → `emjax/class_number`."""
    column = column.removeprefix("rln").removeprefix("emjax")
    return "emjax/" + "".join(f"_{c.lower()}" if c.isupper() else c for c in column).strip("_")


def _storable(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.astype("<f4")
    if values.dtype.kind in "iub":
        return values.astype("<i4")
    return as_bytes(values.astype(str))


def reroot_images(source: StarParticles, paths: dict[str, Path]) -> StarParticles:
    """Image names with other stack paths; the old name stays in `emjaxImageName`.

    Args:
        source: the STAR file.
        paths: new path by the normalised path as written.
    """
    if not paths:
        return source
    new = []
    for name in source.particles.text(IMAGE_NAME):
        number, at, path = name.partition("@")
        path = path if at else name
        target = paths.get(str(Path(path)))
        new.append(name if target is None else f"{number if at else '000001'}@{target}")
    columns: dict[str, np.ndarray] = {IMAGE_NAME: np.array(new)}
    if UID not in source.particles and ORIGINAL_NAME not in source.particles:
        columns[ORIGINAL_NAME] = image_keys(source.particles)
    return with_star_columns(source, columns)
