"""What CryoSPARC's fields mean for each particle, in emjax's units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles, class_posteriors, has_slot, pose_to_matrix
from emjax.io.limits import LARGEST_PIXEL, check_ctf, check_shifts


def cryosparc_fields(source: CsParticles, require_poses: bool = True) -> dict[str, np.ndarray]:
    """What a `.cs` table says of each particle, in emjax's units (Å, radians, 0-based).

    Args:
        source: the table.
        require_poses: whether particles without poses are an error; else they are not turned.

    Returns:
        As `relion_fields`, with uids as identity.

    Raises:
        InputError: for missing fields and values that cannot be.
    """
    n = len(source)
    pixel_size = source.numbers("blob/psize_A")
    shape = source.numbers("blob/shape", 2)
    index = source.integers("blob/idx")
    for name, good in (
        ("blob/psize_A", (pixel_size > 1e-3) & (pixel_size < LARGEST_PIXEL)),
        ("blob/shape", (shape[:, 0] == shape[:, 1]) & (shape[:, 0] > 0) & (shape[:, 0] < 65537)),
    ):
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(
                source.file,
                f"row {row + 1}, {name}",
                source[name][row],
                "square images" if name == "blob/shape" else "a positive number",
            )
    paths = source.text("blob/path")
    unique, inverse = np.unique(paths, return_inverse=True)
    if "" in unique:
        row = int(np.argmax(paths == ""))
        raise InputError(source.file, f"row {row + 1}, blob/path", "no path", "an image stack")
    cleaned = np.array([str(Path(p.removeprefix(">"))) for p in unique.tolist()], np.str_)
    rotations, shifts = _poses(source, pixel_size, require_poses)
    fields = {
        "identity": source["uid"].astype(str),
        "image_path": cleaned[inverse],
        "index_in_stack": index,
        "image_pixel_size": np.round(pixel_size, 7),
        "image_box_size": shape[:, 0].astype(np.int64),
        "rotations": rotations,
        "shifts": shifts,
        "half": _half(source),
        "optics_group": np.ones(n, np.int32),
        "contrast": np.ones(n, np.int8),
        **_ctf(source),
    }
    if "ctf/exp_group_id" in source:
        fields["optics_group"] = source.integers("ctf/exp_group_id").astype(np.int32) + 1
    if "blob/sign" in source:
        fields["contrast"] = np.where(source.numbers("blob/sign") < 0, -1, 1).astype(np.int8)
    if "location/micrograph_path" in source:
        fields["micrograph"] = source.text("location/micrograph_path")
    return fields


def _ctf(source: CsParticles) -> dict[str, np.ndarray]:
    if not has_slot(source, "ctf"):
        expected = "ctf/… here or in a passthrough file"
        raise InputError(source.file, None, "no CTF fields", expected)
    names = {
        "defocus_u": "df1_A",
        "defocus_v": "df2_A",
        "defocus_angle": "df_angle_rad",
        "voltage": "accel_kv",
        "spherical_aberration": "cs_mm",
        "amplitude_contrast": "amp_contrast",
    }
    fields = {ours: source.numbers(f"ctf/{theirs}") for ours, theirs in names.items()}
    fields["phase_shift"] = np.zeros(len(source))
    if "ctf/phase_shift_rad" in source:
        fields["phase_shift"] = source.numbers("ctf/phase_shift_rad")
    for ours in ("voltage", "spherical_aberration", "amplitude_contrast"):
        # Stored as float32; 0.07 should not become 0.07000000029802322.
        fields[ours] = np.round(fields[ours], 7)
    check_ctf(fields, source.file, lambda row: f"row {row + 1}")
    return fields


def _half(source: CsParticles) -> np.ndarray:
    for slot in ("alignments3D", "alignments3D_multi"):
        if f"{slot}/split" in source and source[f"{slot}/split"].ndim == 1:
            split = source.integers(f"{slot}/split")
            if len(np.unique(split)) > 1:  # else the particles were not split
                return np.where(split < 2, split + 1, 0).astype(np.int8)
    return np.zeros(len(source), np.int8)


def _poses(
    source: CsParticles, pixel_size: np.ndarray, require: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation matrices (RELION's A) and shifts in Å; of several classes, the likeliest one's."""
    n = len(source)
    if "alignments3D/pose" in source:
        pose = source.numbers("alignments3D/pose", 3)
        shift = source.numbers("alignments3D/shift", 2)
        slot = "alignments3D"
    elif "alignments3D_multi/pose" in source:
        best = class_posteriors(source).argmax(1)
        pose, shift = (
            _of_class(source, f"alignments3D_multi/{name}", best) for name in ("pose", "shift")
        )
        slot = "alignments3D_multi"
    elif require:
        expected = "alignments3D/pose here or in a passthrough file"
        raise InputError(source.file, None, "no poses", expected)
    else:
        return np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 2))
    unit = pixel_size
    if f"{slot}/psize_A" in source and source[f"{slot}/psize_A"].ndim == 1:
        unit = source.numbers(f"{slot}/psize_A")
    shifts = shift * unit[:, None]
    check_shifts(shifts, source.file, lambda row: f"row {row + 1}")
    return pose_to_matrix(pose), shifts


def _of_class(source: CsParticles, name: str, best: np.ndarray) -> np.ndarray:
    values = source[name]
    if values.ndim != 3 or values.dtype.kind != "f" or not np.isfinite(values).all():
        found = f"{values.dtype} of shape {values.shape[1:]}, or NaN"
        raise InputError(source.file, name, found, "finite numbers, one vector a class")
    return values[np.arange(len(values)), best].astype(np.float64)
