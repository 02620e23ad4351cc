"""Columns added to particle files of either kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.cryosparc.tables import CsParticles, matrix_to_pose
from emjax.io.star.relion import ANGLES, ORIGINAL_NAME, UID, StarParticles, image_keys


def has_poses(source: StarParticles | CsParticles) -> bool:
    """Whether the file says how each particle is turned."""
    if isinstance(source, StarParticles):
        return all(label in source.particles for label in ANGLES)
    return "alignments3D/pose" in source or "alignments3D_multi/pose" in source


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
    for label, values in columns.items():
        values = np.asarray(values)
        if len(values) != n:
            raise InputError(source.file, label, f"{len(values)} values", f"{n} rows")
        new[_field_name(label)] = _storable(values)
    if "rlnClassNumber" in columns:
        number = np.asarray(columns["rlnClassNumber"])
        new["alignments3D/class"] = np.maximum(number - 1, 0).astype("<u4")
        posterior = np.asarray(columns.get("rlnMaxValueProbDistribution", np.ones(n)))
        new["alignments3D/class_posterior"] = np.where(number > 0, posterior, 0).astype("<f4")
        if "alignments3D/pose" not in source and has_poses(source):
            fields = cryosparc_fields(source)
            size = fields["image_pixel_size"]
            new["alignments3D/split"] = (fields["half"] == 2).astype("<u4")
            new["alignments3D/pose"] = matrix_to_pose(fields["rotations"]).astype("<f4")
            new["alignments3D/shift"] = (fields["shifts"] / size[:, None]).astype("<f4")
            new["alignments3D/psize_A"] = size.astype("<f4")
    if "rlnRandomSubset" in columns:
        new["alignments3D/split"] = (np.asarray(columns["rlnRandomSubset"]) == 2).astype("<u4")
    return replace_fields(source.records, new)


def replace_fields(records: np.ndarray, new: dict[str, np.ndarray]) -> np.ndarray:
    """The records with fields replaced (in their own type) or appended."""
    names = records.dtype.names or ()
    columns = {name: records[name] for name in names}
    for name, values in new.items():
        columns[name] = values.astype(records.dtype[name].base) if name in names else values
    return make_records(columns)


def _field_name(label: str) -> str:
    """`rlnClassNumber` → `emjax/class_number`."""
    label = label.removeprefix("rln").removeprefix("emjax")
    return "emjax/" + "".join(f"_{c.lower()}" if c.isupper() else c for c in label).strip("_")


def _storable(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.astype("<f4")
    if values.dtype.kind in "iub":
        return values.astype("<i4")
    return as_bytes(values.astype(str))


def reroot_images(
    source: StarParticles, paths: dict[str, Path], label: str = "rlnImageName"
) -> StarParticles:
    """Image names with other stack paths; the old name stays in `emjaxImageName`.

    Args:
        source: the STAR file.
        paths: new path by the normalised path as written.
        label: the column.
    """
    if not paths:
        return source
    old = source.particles.text(label)
    new = []
    for name in old:
        number, at, path = name.partition("@")
        path = path if at else name
        target = paths.get(str(Path(path)))
        new.append(name if target is None else f"{number if at else '000001'}@{target}")
    columns: dict[str, np.ndarray] = {label: np.array(new)}
    if UID not in source.particles and ORIGINAL_NAME not in source.particles:
        columns[ORIGINAL_NAME] = image_keys(source.particles)
    return with_star_columns(source, columns)
