"""What RELION's columns mean for each particle, in emjax's units."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from emjax.errors import InputError
from emjax.io.limits import LARGEST_PIXEL, check_ctf, check_shifts
from emjax.io.star.relion import (
    ANGLES,
    CONTRAST,
    CTF,
    ORIGINAL_NAME,
    UID,
    StarParticles,
    distinct,
    euler_to_matrix,
    image_names,
    keys_of,
    particle_keys,
)
from emjax.io.star.tables import StarTable


def relion_fields(source: StarParticles, require_poses: bool = True) -> dict[str, np.ndarray]:
    """What a particle STAR file says of each particle, in emjax's units (Å, radians, 0-based).

    Args:
        source: the file.
        require_poses: whether particles without angles are an error; else they are not turned.

    Returns:
        The per-particle fields of `ParticleSet`, `image_path` (as written), `image_pixel_size`
        and `image_box_size` (0 where the file does not say).

    Raises:
        InputError: for missing columns and values that cannot be.
    """
    # The copy's split columns go away with it.
    source = source.with_particles(replace(source.particles))
    table = source.particles
    n = len(table)
    group, pixel_size, box_size = _optics(source)
    image_path, index = image_names(table)
    fields = {
        "image_path": image_path,
        "index_in_stack": index,
        "optics_group": group,
        "image_pixel_size": pixel_size,
        "image_box_size": box_size,
        "rotations": _rotations(table, require_poses),
        "shifts": _shifts(table, pixel_size),
        "half": _half(table),
        **_ctf(source, group),
    }
    if UID in table or ORIGINAL_NAME in table:
        fields["identity"] = particle_keys(table)
    else:
        fields["identity"] = distinct(keys_of(image_path, index))
    if CONTRAST in table:
        fields["contrast"] = np.where(table.numbers(CONTRAST) < 0, -1, 1).astype(np.int8)
    else:
        fields["contrast"] = np.ones(n, np.int8)
    if "rlnMicrographName" in table:
        fields["micrograph"] = np.array(table.text("rlnMicrographName"), np.str_)
    return fields


def _optics(source: StarParticles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Optics group, pixel size in Å and box size of each particle."""
    table, optics = source.particles, source.optics
    n = len(table)
    if "rlnTomoParticleName" in table:
        found = "_rlnTomoParticleName (tomography)"
        raise InputError(table.file, f"data_{table.name}", found, "single particles")
    group = _groups(source)
    if optics is None or group is None:
        box = table.integers("rlnImageSize") if "rlnImageSize" in table else np.zeros(n, np.int64)
        return np.ones(n, np.int32), _flat_pixel_size(source), box
    row_of = _optics_rows(source, group)
    for label, good, meaning in (
        ("rlnImageDimensionality", 2, "2: images"),
        ("rlnCtfDataAreCtfPremultiplied", 0, "0: images as recorded, not multiplied by their CTF"),
    ):
        if label in optics:
            values = optics.integers(label)
            if (values != good).any():
                row = int(np.argmax(values != good))
                place = f"{optics.where(row)}, _{label}"
                raise InputError(optics.file, place, values[row], meaning)
    name = next((c for c in ("rlnImagePixelSize", "rlnPixelSize") if c in optics), None)
    if name is None:
        place = f"data_{optics.name}"
        raise InputError(optics.file, place, "no column _rlnImagePixelSize", "pixel sizes in Å")
    pixel_size = _pixel_sizes(optics, name)[row_of]
    box = np.zeros(n, np.int64)
    if "rlnImageSize" in optics:
        box = _positive(optics, "rlnImageSize", integer=True)[row_of]
    return group.astype(np.int32), pixel_size, box


def _groups(source: StarParticles) -> np.ndarray | None:
    """Optics group of each particle; of a single group also where the particles do not say."""
    table, optics = source.particles, source.optics
    if "rlnOpticsGroup" in table:
        return table.integers("rlnOpticsGroup")
    if optics is not None and len(optics) == 1 and "rlnOpticsGroup" in optics:
        return np.repeat(optics.integers("rlnOpticsGroup"), len(table))
    if optics is not None and len(optics) > 1:
        found = f"no column _rlnOpticsGroup for {len(optics)} optics groups"
        raise InputError(table.file, f"data_{table.name}", found, "each particle's group")
    return None


def _optics_rows(source: StarParticles, group: np.ndarray) -> np.ndarray:
    """Row of the optics table of each particle."""
    table, optics = source.particles, source.optics
    assert optics is not None
    groups = optics.integers("rlnOpticsGroup")
    if len(np.unique(groups)) != len(groups):
        place = f"data_{optics.name}, _rlnOpticsGroup"
        raise InputError(optics.file, place, "a group twice", "each optics group once")
    known = np.isin(group, groups)
    if not known.all() or not len(groups):
        row = int(np.argmin(known))
        place = f"{table.where(row)}, _rlnOpticsGroup"
        listed = ", ".join(map(str, groups)) or "none"
        raise InputError(table.file, place, group[row], f"a group of data_optics ({listed})")
    order = np.argsort(groups)
    return order[np.searchsorted(groups[order], group)]


def _flat_pixel_size(source: StarParticles) -> np.ndarray:
    """Pixel size of RELION 3.0: from the column, or from detector and magnification."""
    table = source.particles
    for label in ("rlnPixelSize", "rlnImagePixelSize"):
        if label in table:
            return _pixel_sizes(table, label)
    if "rlnDetectorPixelSize" in table and "rlnMagnification" in table:
        detector, magnification = (
            _positive(table, label) for label in ("rlnDetectorPixelSize", "rlnMagnification")
        )
        sizes = np.round(detector * 1e4 / magnification, 9)
        return _check_pixel_sizes(sizes, table, "_rlnDetectorPixelSize, _rlnMagnification")
    found = "no pixel size"
    expected = "data_optics with _rlnImagePixelSize, or _rlnDetectorPixelSize and _rlnMagnification"
    raise InputError(table.file, f"data_{table.name}", found, expected)


def _pixel_sizes(table: StarTable, label: str) -> np.ndarray:
    return _check_pixel_sizes(table.numbers(label), table, f"_{label}")


def _check_pixel_sizes(sizes: np.ndarray, table: StarTable, columns: str) -> np.ndarray:
    good = (sizes > 1e-3) & (sizes < LARGEST_PIXEL)
    if not good.all():
        row = int(np.argmin(good))
        place = f"{table.where(row)}, {columns}"
        raise InputError(table.file, place, f"{sizes[row]:g}", "a pixel size in Å above 0")
    return sizes


def _positive(table: StarTable, label: str, integer: bool = False) -> np.ndarray:
    values = table.integers(label) if integer else table.numbers(label)
    good = (values > 0) & (values < (65537 if integer else 1e9))
    if not good.all():
        row = int(np.argmin(good))
        place = f"{table.where(row)}, _{label}"
        raise InputError(table.file, place, values[row], "a value above 0, in its unit")
    return values


def _rotations(table: StarTable, require: bool) -> np.ndarray:
    missing = [label for label in ANGLES if label not in table]
    if missing and require:
        found = "no columns " + ", ".join(f"_{label}" for label in missing)
        raise InputError(table.file, f"data_{table.name}", found, "particles with angles")
    if missing:
        return np.tile(np.eye(3), (len(table), 1, 1))
    angles = np.stack([table.numbers(label) for label in ANGLES], axis=1)
    return euler_to_matrix(angles)


def _shifts(table: StarTable, pixel_size: np.ndarray) -> np.ndarray:
    """Shifts in Å; RELION 3.0 writes them in pixels."""
    columns = []
    for axis in "XY":
        if f"rlnOrigin{axis}Angst" in table:
            columns.append(table.numbers(f"rlnOrigin{axis}Angst"))
        elif f"rlnOrigin{axis}" in table:
            columns.append(table.numbers(f"rlnOrigin{axis}") * pixel_size)
        else:
            columns.append(np.zeros(len(table)))
    shifts = np.stack(columns, axis=1)
    check_shifts(shifts, table.file, table.where)
    return shifts


def _half(table: StarTable) -> np.ndarray:
    if "rlnRandomSubset" not in table:
        return np.zeros(len(table), np.int8)
    half = table.integers("rlnRandomSubset")
    if not np.isin(half, (0, 1, 2)).all():
        row = int(np.argmin(np.isin(half, (0, 1, 2))))
        place = f"{table.where(row)}, _rlnRandomSubset"
        raise InputError(table.file, place, half[row], "1 or 2")
    if len(np.unique(half)) < 2:  # a single half-set is none
        return np.zeros(len(table), np.int8)
    return half.astype(np.int8)


def _ctf(source: StarParticles, group: np.ndarray) -> dict[str, np.ndarray]:
    """CTF parameters in Å, radians, kV and mm; per particle first, then of the optics group."""
    table, optics = source.particles, source.optics
    missing = [label for label in CTF if label not in table]
    if missing:
        found = "no CTF columns (" + ", ".join(f"_{label}" for label in missing) + ")"
        raise InputError(table.file, f"data_{table.name}", found, "defocus of every particle")

    def of_group(label: str, default: float | None = None) -> np.ndarray:
        if label in table:
            return table.numbers(label)
        if optics is not None and label in optics and _groups(source) is not None:
            return optics.numbers(label)[_optics_rows(source, group)]
        if default is None:
            found = f"no CTF column _{label}"
            expected = "it in data_optics or in the particle table"
            raise InputError(table.file, None, found, expected)
        if label == "rlnAmplitudeContrast":
            note = f"{table.file}: no _rlnAmplitudeContrast; taken as {default}, as RELION does"
            warnings.warn(note, stacklevel=2)
        return np.full(len(table), default)

    fields = {
        "defocus_u": table.numbers("rlnDefocusU"),
        "defocus_v": table.numbers("rlnDefocusV"),
        "defocus_angle": np.deg2rad(table.numbers("rlnDefocusAngle")),
        "phase_shift": np.deg2rad(of_group("rlnPhaseShift", 0.0)),
        "voltage": of_group("rlnVoltage"),
        "spherical_aberration": of_group("rlnSphericalAberration"),
        "amplitude_contrast": of_group("rlnAmplitudeContrast", 0.0),
    }
    check_ctf(fields, table.file, table.where)
    return fields
