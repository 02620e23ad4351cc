"""One particle table in the other program's form: `.cs` to STAR, STAR to `.cs`."""

from __future__ import annotations

import hashlib

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.cryosparc.tables import CsParticles, class_posteriors, matrix_to_pose
from emjax.io.particles.columns import as_bytes, has_poses, make_records
from emjax.io.star.relion import (
    ANGLES,
    CONTRAST,
    UID,
    StarParticles,
    matrix_to_euler,
    particle_keys,
)
from emjax.io.star.relion_fields import relion_fields
from emjax.io.star.tables import StarFile, make_table

_DIMENSIONS = 2


def star_from_cs(source: CsParticles) -> StarParticles:
    """The STAR file (3.1 form) of a `.cs` table: same rows and order, uid in `emjaxUid`.

    Raises:
        InputError: as `cryosparc_fields`.
    """
    fields = cryosparc_fields(source, require_poses=False)
    number = fields["index_in_stack"] + 1
    pairs = zip(number.tolist(), fields["image_path"].tolist(), strict=True)
    columns: dict[str, np.ndarray | list[str]] = {
        "rlnImageName": [f"{i:06d}@{path}" for i, path in pairs]
    }
    if "micrograph" in fields:
        columns["rlnMicrographName"] = np.char.lstrip(fields["micrograph"], ">")
    columns |= _coordinates(source)
    optics, columns["rlnOpticsGroup"] = _optics_columns(fields)
    columns |= {
        "rlnDefocusU": _short(fields["defocus_u"]),
        "rlnDefocusV": _short(fields["defocus_v"]),
        "rlnDefocusAngle": _degrees(fields["defocus_angle"]),
        "rlnPhaseShift": _degrees(fields["phase_shift"]),
    }
    if has_poses(source):
        angles = np.round(matrix_to_euler(fields["rotations"]), 7)
        columns |= dict(zip(ANGLES, angles.T, strict=True))
        columns["rlnOriginXAngst"], columns["rlnOriginYAngst"] = np.round(fields["shifts"], 6).T
    if fields["half"].any():
        columns["rlnRandomSubset"] = fields["half"]
    columns |= class_columns(source)
    columns[UID] = source["uid"]
    if (fields["contrast"] < 0).any():
        columns[CONTRAST] = fields["contrast"]
    tables = (make_table("optics", optics), make_table("particles", columns))
    return StarParticles(StarFile(tables), "particles", "optics")


def _short(values: np.ndarray) -> np.ndarray:
    """float32 values, so that their text has no more digits than they have."""
    return values.astype(np.float32)


def _degrees(radians: np.ndarray) -> np.ndarray:
    return np.round(np.rad2deg(radians), 6)


def _coordinates(source: CsParticles) -> dict[str, np.ndarray]:
    """Particle centres on the micrograph, in pixels."""
    names = [f"location/{name}" for name in ("micrograph_shape", "center_x_frac", "center_y_frac")]
    if not all(name in source for name in names):
        return {}
    shape = source.numbers(names[0], 2)
    x, y = (source.numbers(name) for name in names[1:])
    return {
        "rlnCoordinateX": np.round(x * shape[:, 1], 2),
        "rlnCoordinateY": np.round(y * shape[:, 0], 2),
    }


_OPTICS = {
    "rlnVoltage": "voltage",
    "rlnSphericalAberration": "spherical_aberration",
    "rlnAmplitudeContrast": "amplitude_contrast",
    "rlnImagePixelSize": "image_pixel_size",
    "rlnImageSize": "image_box_size",
}


def _optics_columns(
    fields: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray | list[str]], np.ndarray]:
    """Optics table, and the group of each particle: its own number where that is unambiguous."""
    names = ("optics_group", *_OPTICS.values())
    kinds, inverse = np.unique(
        np.stack([fields[name] for name in names]), axis=1, return_inverse=True
    )
    group = kinds[0].astype(np.int64)
    if len(np.unique(group)) < len(group):
        group = np.arange(1, len(group) + 1)
    columns: dict[str, np.ndarray | list[str]] = {
        "rlnOpticsGroup": group,
        "rlnOpticsGroupName": [f"opticsGroup{g}" for g in group],
    }
    columns |= dict(zip(_OPTICS, kinds[1:], strict=True))
    columns["rlnImageSize"] = kinds[-1].astype(np.int64)
    columns["rlnImageDimensionality"] = np.full(len(group), _DIMENSIONS)
    return columns, group[inverse.ravel()]


def class_columns(source: CsParticles) -> dict[str, np.ndarray]:
    """Class number (1-based) and posterior of each particle, as STAR columns, if there are any."""
    if "alignments3D_multi/class_posterior" in source and "emjax/class_number" not in source:
        posterior = class_posteriors(source)
        return {
            "rlnClassNumber": posterior.argmax(1) + 1,
            "rlnMaxValueProbDistribution": _short(posterior.max(1)),
        }
    columns = {}
    if "emjax/class_number" in source:
        # CryoSPARC knows no unassigned particles; this field does.
        columns["rlnClassNumber"] = source.integers("emjax/class_number")
    elif "alignments3D/class" in source:
        columns["rlnClassNumber"] = source.integers("alignments3D/class") + 1
    if "alignments3D/class_posterior" in source:
        columns["rlnMaxValueProbDistribution"] = _short(
            source.numbers("alignments3D/class_posterior")
        )
    return columns


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
        name = table.text("rlnImageName")[row]
        raise InputError(table.file, table.where(row), f"{name} twice", "each particle once")
    return uids


def cs_from_star(source: StarParticles, box_size: int = 0) -> CsParticles:
    """The `.cs` table of a STAR file: same rows and order.

    Args:
        source: the STAR file.
        box_size: pixels, where the file does not say (RELION 3.0).

    Raises:
        InputError: as `relion_fields`; when the box size is not known.
    """
    fields = relion_fields(source, require_poses=False)
    box = np.where(fields["image_box_size"] > 0, fields["image_box_size"], box_size)
    if not box.all():
        raise InputError(source.file, "_rlnImageSize", "no box size", "its optics table or stacks")
    n = len(source.particles)
    pixel_size = fields["image_pixel_size"]
    columns: dict[str, np.ndarray] = {
        "uid": star_uids(source),
        "blob/path": as_bytes(fields["image_path"]),
        "blob/idx": fields["index_in_stack"].astype("<u4"),
        "blob/shape": np.stack([box, box], axis=1).astype("<u4"),
        "blob/psize_A": pixel_size.astype("<f4"),
        "blob/sign": fields["contrast"].astype("<f4"),
        "ctf/type": np.full(n, b"imported"),
        "ctf/exp_group_id": (fields["optics_group"] - 1).astype("<u4"),
        "ctf/accel_kv": fields["voltage"].astype("<f4"),
        "ctf/cs_mm": fields["spherical_aberration"].astype("<f4"),
        "ctf/amp_contrast": fields["amplitude_contrast"].astype("<f4"),
        "ctf/df1_A": fields["defocus_u"].astype("<f4"),
        "ctf/df2_A": fields["defocus_v"].astype("<f4"),
        "ctf/df_angle_rad": fields["defocus_angle"].astype("<f4"),
        "ctf/phase_shift_rad": fields["phase_shift"].astype("<f4"),
        "ctf/scale": np.ones(n, "<f4"),
        "ctf/scale_const": np.zeros(n, "<f4"),
        "ctf/shift_A": np.zeros((n, 2), "<f4"),
        "ctf/tilt_A": np.zeros((n, 2), "<f4"),
        "ctf/trefoil_A": np.zeros((n, 2), "<f4"),
        "ctf/tetra_A": np.zeros((n, 4), "<f4"),
        "ctf/anisomag": np.zeros((n, 4), "<f4"),
        "ctf/bfactor": np.zeros(n, "<f4"),
    }
    if "micrograph" in fields:
        columns["location/micrograph_path"] = as_bytes(fields["micrograph"])
    if has_poses(source):
        columns |= _alignment_fields(source, fields)
    return CsParticles(source.file, make_records(columns))


def _alignment_fields(
    source: StarParticles, fields: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    table, n = source.particles, len(source.particles)
    pixel_size = fields["image_pixel_size"]
    columns = {
        "alignments3D/shift": (fields["shifts"] / pixel_size[:, None]).astype("<f4"),
        "alignments3D/pose": matrix_to_pose(fields["rotations"]).astype("<f4"),
        "alignments3D/psize_A": pixel_size.astype("<f4"),
        "alignments3D/class": np.zeros(n, "<u4"),
        "alignments3D/class_posterior": np.ones(n, "<f4"),
    }
    if fields["half"].any():
        columns["alignments3D/split"] = (fields["half"] == 2).astype("<u4")
    if "rlnClassNumber" in table:
        number = table.integers("rlnClassNumber")
        if (number < 1).any():
            columns["emjax/class_number"] = number.astype("<i4")
        columns["alignments3D/class"] = np.clip(number - 1, 0, 2**31).astype("<u4")
    if "rlnMaxValueProbDistribution" in table:
        posterior = np.clip(table.numbers("rlnMaxValueProbDistribution"), 0, 1)
        columns["alignments3D/class_posterior"] = posterior.astype("<f4")
    return columns
