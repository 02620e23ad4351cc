"""RELION's particle STAR files (3.0, 3.1, 5): which table and column means what."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from emjax.errors import InputError
from emjax.io.star import StarFile, StarTable, read_star

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
CTF = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
UID = "emjaxUid"
CONTRAST = "emjaxContrastSign"
ORIGINAL_NAME = "emjaxImageName"
LARGEST_PIXEL = 1e4
_NOT_PARTICLES = ("optics", "general", "model_general", "job")


@dataclass(frozen=True)
class StarParticles:
    """A particle STAR file as it was written, with the names of its particle and optics tables."""

    star: StarFile
    particles_name: str
    optics_name: str | None

    @property
    def particles(self) -> StarTable:
        """The particle table."""
        return self.star[self.particles_name]

    @property
    def optics(self) -> StarTable | None:
        """The optics table, None for RELION 3.0."""
        return None if self.optics_name is None else self.star[self.optics_name]

    @property
    def file(self) -> str:
        """The file's name, for messages."""
        return self.particles.file

    def with_particles(self, table: StarTable) -> StarParticles:
        """The same file with another particle table of the same name."""
        return replace(self, star=self.star.with_table(table))

    def select(self, rows: np.ndarray) -> StarParticles:
        """The same file with the given particles only; the optics table stays whole."""
        return self.with_particles(self.particles.select(rows))


def read_star_particles(path: str | Path) -> StarParticles:
    """Read a particle STAR file and find its tables.

    Raises:
        InputError: when there is no particle table, or it has no rows.
    """
    star = read_star(path)
    tables = [t for t in star.tables if "rlnImageName" in t and t.name not in _NOT_PARTICLES]
    if not tables:
        found = ", ".join(f"data_{table.name}" for table in star.tables)
        raise InputError(path, None, found, "a particle table with a column _rlnImageName")
    particles = tables[0]
    if len(tables) > 1:
        found = " and ".join(f"data_{table.name}" for table in tables)
        raise InputError(path, None, f"several particle tables: {found}", "one")
    if not len(particles):
        raise InputError(path, f"data_{particles.name}", "no rows", "at least one particle")
    optics = "optics" if "optics" in star else None
    return StarParticles(star, particles.name, optics)


_JOB_FILES = re.compile(r"run(_ct\d+)?(_it(\d+))?_data\.star")


def job_particles(folder: str | Path) -> Path:
    """The particle file of a RELION Refine3D or Class3D job: the final one, else the last.

    Raises:
        InputError: when the folder holds neither.
    """
    folder = Path(folder)
    found = []
    for path in folder.glob("run*_data.star"):
        match = _JOB_FILES.fullmatch(path.name)
        if match:
            iteration = float("inf") if match[3] is None else int(match[3])
            found.append((iteration, path.stat().st_mtime, path))
    if not found:
        expected = "run_data.star or run_it…_data.star of a RELION job"
        raise InputError(folder, None, "a folder without them", expected)
    return max(found)[2]


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
    image_path, index = _image_names(table)
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
        fields["identity"] = _distinct(_keys(image_path, index))
    if CONTRAST in table:
        fields["contrast"] = np.where(table.numbers(CONTRAST) < 0, -1, 1).astype(np.int8)
    else:
        fields["contrast"] = np.ones(n, np.int8)
    if "rlnMicrographName" in table:
        fields["micrograph"] = np.array(table.text("rlnMicrographName"))
    return fields


def particle_keys(table: StarTable) -> np.ndarray:
    """What joins particles of several runs: the uid, else the (first) image name.

    Images that occur more than once (symmetry expansion) are told apart by `#2`, `#3` ….
    """
    if UID in table:
        return np.array(table.text(UID))
    return image_keys(table, ORIGINAL_NAME if ORIGINAL_NAME in table else "rlnImageName")


def image_keys(table: StarTable, label: str = "rlnImageName") -> np.ndarray:
    """Image names in one spelling: six digits, no `./`, so that files of several runs join."""
    return _distinct(_keys(*_image_names(table, label)))


def _keys(paths: np.ndarray, index: np.ndarray) -> np.ndarray:
    pairs = zip((index + 1).tolist(), paths.tolist(), strict=True)
    return np.array([f"{number:06d}@{path}" for number, path in pairs])


def _distinct(keys: np.ndarray) -> np.ndarray:
    """The keys with `#2`, `#3` … after the second, third … occurrence of one."""
    unique, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    if len(unique) == len(keys):
        return keys
    order = np.argsort(inverse, kind="stable")
    occurrence = np.empty(len(keys), np.int64)
    occurrence[order] = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs = zip(keys.tolist(), occurrence.tolist(), strict=True)
    return np.array([f"{key}#{k + 1}" if k else key for key, k in pairs])


def _image_names(table: StarTable, label: str = "rlnImageName") -> tuple[np.ndarray, np.ndarray]:
    """Stack path as written and 0-based index of each particle."""
    paths, index, spelling = [], np.empty(len(table), np.int64), {}
    for row, name in enumerate(table.text(label)):
        number, at, path = name.partition("@")
        if not at:
            number, path = "1", name
        valid = number.isascii() and number.isdigit() and len(number) < 16
        if not valid or int(number) < 1 or not path:
            place = f"{table.where(row)}, _{label}"
            raise InputError(table.file, place, name, "number@stack with a number from 1")
        index[row] = int(number) - 1
        if path not in spelling:
            spelling[path] = str(Path(path))
        paths.append(spelling[path])
    return np.array(paths), index


def _optics(source: StarParticles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Optics group, pixel size in Å and box size of each particle."""
    table, optics = source.particles, source.optics
    n = len(table)
    if optics is None or "rlnOpticsGroup" not in table:
        box = table.integers("rlnImageSize") if "rlnImageSize" in table else np.zeros(n, np.int64)
        return np.ones(n, np.int32), _flat_pixel_size(source), box
    group = table.integers("rlnOpticsGroup")
    row_of = _optics_rows(source, group)
    for label, good in (("rlnImageDimensionality", 2), ("rlnCtfDataAreCtfPremultiplied", 0)):
        if label in optics:
            values = optics.integers(label)
            if (values != good).any():
                row = int(np.argmax(values != good))
                place = f"{optics.where(row)}, _{label}"
                raise InputError(optics.file, place, values[row], good)
    name = next((c for c in ("rlnImagePixelSize", "rlnPixelSize") if c in optics), None)
    if name is None:
        place = f"data_{optics.name}"
        raise InputError(optics.file, place, "no column _rlnImagePixelSize", "pixel sizes in Å")
    pixel_size = _pixel_sizes(optics, name)[row_of]
    box = np.zeros(n, np.int64)
    if "rlnImageSize" in optics:
        box = _positive(optics, "rlnImageSize", integer=True)[row_of]
    return group.astype(np.int32), pixel_size, box


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


def euler_to_matrix(angles: np.ndarray) -> np.ndarray:
    """RELION's rotation matrices A = Rz(psi) Ry(tilt) Rz(rot) from angles in degrees.

    A central slice in the volume's frame is Aᵀ (kx, ky, 0).
    Args:
        angles: rot, tilt, psi, `[n, 3]`.
    """
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)


def matrix_to_euler(rotations: np.ndarray) -> np.ndarray:
    """Angles rot, tilt, psi in degrees, `[n, 3]`; at the poles all of the turn is in rot."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock", UserWarning)
        return Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_euler("ZYZ", degrees=True)


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
    if half.min() == half.max():  # a single half-set is none
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
        if optics is not None and label in optics and "rlnOpticsGroup" in table:
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


_CTF_RANGES = {
    "voltage": (1, 10_000, "an acceleration voltage in kV"),
    "spherical_aberration": (-100, 100, "a spherical aberration in mm"),
    "amplitude_contrast": (0, 1, "an amplitude contrast from 0 to 1"),
    "defocus_u": (-1e6, 1e6, "a defocus in Å"),
    "defocus_v": (-1e6, 1e6, "a defocus in Å"),
}


def check_shifts(shifts: np.ndarray, file: str, where: Callable[[int], str]) -> None:
    """Refuse shifts that leave every image.

    Args:
        shifts: Å, `[n, 2]`.
        file: for the message.
        where: names a row.

    Raises:
        InputError: for the first beyond 100 µm.
    """
    good = (np.abs(shifts) <= 1e6).all(1)
    if not good.all():
        row = int(np.argmin(good))
        found = f"{shifts[row, 0]:g}, {shifts[row, 1]:g}"
        raise InputError(file, f"{where(row)}, shift", found, "a shift inside the image")


def check_ctf(fields: dict[str, np.ndarray], file: str, where: Callable[[int], str]) -> None:
    """Refuse CTF parameters that no microscope has.

    Args:
        fields: parameters by name, one a particle.
        file: for the message.
        where: names a row.

    Raises:
        InputError: for the first that is out of range.
    """
    for name, (lowest, highest, meaning) in _CTF_RANGES.items():
        good = (fields[name] >= lowest) & (fields[name] <= highest)
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(file, f"{where(row)}, {name}", f"{fields[name][row]:g}", meaning)
