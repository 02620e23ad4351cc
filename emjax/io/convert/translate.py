"""One particle table in the other program's form: `.cs` to STAR, STAR to `.cs`."""

from __future__ import annotations

import hashlib

import numpy as np

from emjax.errors import InputError
from emjax.io.aberrations import to_cs, to_star, zernike
from emjax.io.cryosparc.fields import cryosparc_fields, read_column
from emjax.io.cryosparc.tables import CsParticles, class_posteriors, has_slot
from emjax.io.fields import (
    ALIGNMENT_PIXEL_SIZE,
    CS_CLASS_NUMBER,
    CTF,
    CTF_FLAGS,
    FIELDS,
    IMAGE_NAME,
    IMAGE_PATH,
    MICROGRAPH_NAME,
    MICROGRAPH_PATH,
    UID,
    Field,
    label,
    star_columns,
)
from emjax.io.particles.columns import as_bytes, encoded, has_poses, make_records
from emjax.io.star.fields import has_ctf, relion_fields
from emjax.io.star.relion import StarParticles, particle_keys
from emjax.io.star.tables import StarFile, make_table

_DIMENSIONS = 2
_ALIGNED = ("rotations", "shifts")
_CLASSES = ("class_number", "posterior")
COORDINATES = ("location/micrograph_shape", "location/center_x_frac", "location/center_y_frac")


def star_from_cs(source: CsParticles, require_ctf: bool = True) -> StarParticles:
    """The STAR file (3.1 form) of a `.cs` table: same rows and order, uid in `emjaxUid`.

    Args:
        source: the table.
        require_ctf: False writes one without CTF parameters of a table that has none.

    Raises:
        InputError: as `cryosparc_fields`.
    """
    fields = cryosparc_fields(source, False, require_ctf) | class_fields(source)
    unknown = () if has_slot(source, "ctf") else {field.name for field in CTF}
    number = fields["index_in_stack"] + 1
    pairs = zip(number.tolist(), fields["image_path"].tolist(), strict=True)
    columns: dict[str, np.ndarray | list[str]] = {
        IMAGE_NAME: [f"{i:06d}@{path}" for i, path in pairs]
    }
    if "micrograph" in fields:
        columns[MICROGRAPH_NAME] = np.char.lstrip(fields["micrograph"], ">")
    columns |= _coordinates(source)
    optics, fields["optics_group"] = _optics_table(fields)
    if unknown:
        # Neutral values would look like known ones.
        labels = {name for field in CTF if field.star for name in field.star.labels}
        optics = {name: values for name, values in optics.items() if name not in labels}
    for field in FIELDS.values():
        if field.name in unknown or field.star is None or field.star.optics:
            continue
        if _is_written(field, fields, has_poses(source)):
            columns |= field.star.encode(fields[field.name], fields)
    if not has_poses(source) and "alignments2D/pose" in source:
        columns["rlnAnglePsi"] = np.round(np.rad2deg(source.numbers("alignments2D/pose")), 7)
        columns |= star_columns("shifts").encode(fields["shifts"], fields)
    columns[UID] = source["uid"]
    tables = (make_table("optics", optics), make_table("particles", columns))
    return StarParticles(StarFile(tables), "particles", "optics")


def _is_written(field: Field, fields: dict[str, np.ndarray], aligned: bool) -> bool:
    """Whether a column says anything."""
    if field.name not in fields or (field.name in _ALIGNED and not aligned):
        return False
    skipped = field.optional and field.name not in _CLASSES
    return not skipped or bool((fields[field.name] != field.absent).any())


def _coordinates(source: CsParticles) -> dict[str, np.ndarray]:
    """Particle centres on the micrograph, in pixels."""
    if not all(name in source for name in COORDINATES):
        return {}
    shape = source.numbers(COORDINATES[0], 2)
    x, y = (source.numbers(name) for name in COORDINATES[1:])
    return {
        "rlnCoordinateX": np.round(x * shape[:, 1], 2),
        "rlnCoordinateY": np.round(y * shape[:, 0], 2),
    }


def _optics_table(
    fields: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray | list[str]], np.ndarray]:
    """Optics table, and the group of each particle: its own number where that is unambiguous."""
    constant: dict[str, np.ndarray] = {}
    for field in FIELDS.values():
        if field.star and field.star.optics and _is_written(field, fields, aligned=True):
            constant |= field.star.encode(fields[field.name], fields)
    terms = to_star(fields)
    numbers = [
        np.atleast_2d(v.T) for v in (*constant.values(), fields["ctf_applied"], *terms.values())
    ]
    kinds, first, inverse = np.unique(
        np.concatenate([fields["optics_group"][None], *numbers]),
        axis=1,
        return_index=True,
        return_inverse=True,
    )
    group = kinds[0].astype(np.int64)
    if len(np.unique(group)) < len(group):
        group = np.arange(1, len(group) + 1)
    columns: dict[str, np.ndarray | list[str]] = {
        label("optics_group"): group,
        "rlnOpticsGroupName": [f"opticsGroup{g}" for g in group],
    }
    columns |= {name: values[first] for name, values in constant.items()}
    columns["rlnImageDimensionality"] = np.full(len(group), _DIMENSIONS)
    for number, flag in enumerate(CTF_FLAGS, 1):
        if (fields["ctf_applied"] == number).any():
            columns[flag] = (fields["ctf_applied"][first] == number).astype(np.int64)
    for name, values in terms.items():
        columns[name] = values[first] if values.ndim == 1 else zernike(values[first])
    return columns, group[inverse.ravel()]


def class_fields(source: CsParticles) -> dict[str, np.ndarray]:
    """Class number (1-based) and posterior of each particle, where the table has them."""
    if "alignments3D_multi/class_posterior" in source and CS_CLASS_NUMBER not in source:
        posteriors = class_posteriors(source)
        return {"class_number": posteriors.argmax(1) + 1.0, "posterior": posteriors.max(1)}
    found = {}
    for name in _CLASSES:
        column = FIELDS[name].cs
        if column is not None and column.name in source:
            found[name] = read_column(source, name)
    if CS_CLASS_NUMBER in source:
        found["class_number"] = source.integers(CS_CLASS_NUMBER).astype(np.float64)
    return found


def star_class_fields(source: StarParticles) -> dict[str, np.ndarray]:
    """Class number (1-based, 0 unassigned) and posterior, where the file has them."""
    table, found = source.particles, {}
    if label("class_number") in table:
        found["class_number"] = table.integers(label("class_number")).astype(np.float64)
    if label("posterior") in table:
        found["posterior"] = table.numbers(label("posterior"))
    return found


def star_uids(source: StarParticles) -> np.ndarray:
    """uint64 uid of each particle: `emjaxUid`, else a hash of the image name.

    Raises:
        InputError: for a malformed or doubled uid.
    """
    table = source.particles
    if UID in table:
        texts = table.text(UID)
        good = [t.isascii() and t.isdigit() and len(t) < 21 and int(t) < 2**64 for t in texts]
        if not all(good):
            row = good.index(False)
            place = f"{table.where(row)}, _{UID}"
            raise InputError(table.file, place, texts[row], "an integer below 2^64")
        uids = np.array([int(t) for t in texts], np.uint64)
    else:
        keys = (key.encode() for key in particle_keys(table))
        digests = (hashlib.blake2b(key, digest_size=8).digest() for key in keys)
        uids = np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)
    order = np.argsort(uids, kind="stable")
    twice = np.flatnonzero(np.diff(uids[order]) == 0)
    if len(twice):
        row = int(order[twice[0] + 1])
        name = table.text(IMAGE_NAME)[row]
        raise InputError(table.file, table.where(row), f"{name} twice", "each particle once")
    return uids


def cs_from_star(source: StarParticles, box_size: int = 0, require_ctf: bool = True) -> CsParticles:
    """The `.cs` table of a STAR file: same rows and order.

    Args:
        source: the STAR file.
        box_size: pixels, where the file does not say (RELION 3.0).
        require_ctf: False writes one without CTF fields of a file that has none.

    Raises:
        InputError: as `relion_fields`; when the box size is not known.
    """
    fields = relion_fields(source, require_poses=False, require_ctf=require_ctf)
    box = np.where(fields["image_box_size"] > 0, fields["image_box_size"], box_size)
    if not box.all():
        raise InputError(source.file, "_rlnImageSize", "no box size", "its optics table or stacks")
    n = len(source.particles)
    fields |= {"image_box_size": box} | star_class_fields(source)
    columns: dict[str, np.ndarray] = {
        "uid": star_uids(source),
        IMAGE_PATH: as_bytes(fields["image_path"]),
    }
    columns |= encoded(fields, "index_in_stack", "image_box_size")
    slots = {f.name: f.cs.slot for f in FIELDS.values() if f.cs and f.name in fields}
    own = [name for name, slot in slots.items() if slot == "emjax"]
    columns |= encoded(fields, *[name for name, slot in slots.items() if slot == "blob"])
    if has_ctf(source):
        columns["ctf/type"] = np.full(n, b"imported")
        columns |= encoded(fields, *[name for name, slot in slots.items() if slot == "ctf"])
        columns |= to_cs(fields) | {"ctf/scale_const": np.zeros(n, "<f4")}
    columns |= encoded(
        fields, *[name for name in own if (fields[name] != FIELDS[name].absent).any()]
    )
    if "micrograph" in fields:
        columns[MICROGRAPH_PATH] = as_bytes(fields["micrograph"])
    if has_poses(source):
        columns |= _alignment_columns(fields)
    return CsParticles(source.file, make_records(columns))


def _alignment_columns(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    n = len(fields["shifts"])
    columns = encoded(fields, "shifts", "rotations")
    columns[ALIGNMENT_PIXEL_SIZE] = fields["image_pixel_size"].astype("<f4")
    columns |= encoded({name: np.ones(n) for name in _CLASSES} | fields, *_CLASSES)
    if fields["half"].any():
        columns |= encoded(fields, "half")
    if "class_number" in fields and (fields["class_number"] < 1).any():
        columns[CS_CLASS_NUMBER] = fields["class_number"].astype("<i4")
    return columns
