"""Particle sets: what every particle file says, whichever program wrote it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.convert.translate import cs_from_star, star_from_cs
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.cryosparc.job import read_cs_particles
from emjax.io.cryosparc.tables import CsParticles, write_cs
from emjax.io.mrc.header import MrcHeader, read_header
from emjax.io.mrc.resample import common_grid
from emjax.io.particles.columns import reroot_images, with_cs_columns, with_star_columns
from emjax.io.particles.ctf_in_images import believed_ctf
from emjax.io.particles.locate import resolve_images
from emjax.io.particles.pixel_size import believed_pixel_size
from emjax.io.particles.stack import stack_source
from emjax.io.star.fields import relion_fields
from emjax.io.star.relion import StarParticles, job_particles, read_star_particles
from emjax.io.star.tables import write_star

_SAME_PIXEL_SIZE = 1e-4


@dataclass(frozen=True)
class ParticleSet:
    """n particles in the row order of their file; Å, radians and 0-based indices."""

    source: StarParticles | CsParticles
    identity: np.ndarray
    """`[n]` str: the key that joins runs (uid where there is one, else the image name)."""
    stack_paths: tuple[Path, ...]
    """Where the stacks are."""
    stack_names: tuple[str, ...]
    """As the file names them."""
    stack_of: np.ndarray
    """`[n]` int32: index into stack_paths."""
    index_in_stack: np.ndarray
    """`[n]` int64, 0-based."""
    rotations: np.ndarray
    """`[n, 3, 3]`: RELION's A = Rz(psi) Ry(tilt) Rz(rot); k3D = Aᵀ (kx, ky, 0)."""
    shifts: np.ndarray
    """`[n, 2]` Å, x and y: moves the image so that the particle is centred."""
    defocus_u: np.ndarray
    defocus_v: np.ndarray
    defocus_angle: np.ndarray
    phase_shift: np.ndarray
    voltage: np.ndarray
    spherical_aberration: np.ndarray
    amplitude_contrast: np.ndarray
    pixel_size: float
    """Å, common to all particles."""
    box_size: int
    """Pixels, common to all particles."""
    optics_group: np.ndarray
    """`[n]` int32, 1-based."""
    half: np.ndarray
    """`[n]` int8: random subset 1 or 2, 0 where the file has none."""
    micrograph: np.ndarray | None
    contrast: np.ndarray
    """`[n]` int8: −1 for images with dark particles, which `ImageStacks` inverts."""
    image_pixel_size: np.ndarray
    """`[n]` Å: of the images as stored; differs from pixel_size only where groups differ."""
    ctf_scale: np.ndarray
    """`[n]`: factor of the CTF."""
    ctf_bfactor: np.ndarray
    """`[n]` Å²: the CTF is damped by exp(−B·k²/4)."""
    odd_aberration: np.ndarray
    """`[n, 6]`: as `emjax.io.aberrations` has it, like the next one."""
    even_aberration: np.ndarray
    """`[n, 4]`."""
    magnification: np.ndarray
    """`[n, 4]`: matrix by rows; frequency k of the image is M·k of the projection."""
    ctf_applied: np.ndarray
    """`[n]` int8: 1 where the phases of the images were flipped, 2 where they were multiplied."""
    mirrored: np.ndarray
    """`[n]` int8: 1 for images that `ImageStacks` mirrors, x to −x."""

    def __len__(self) -> int:
        """Number of particles."""
        return len(self.identity)

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.identity)

    @property
    def image(self) -> np.ndarray:
        """`[n]` int64: the same for copies of one image (symmetry expansion), else different."""
        pairs = np.stack([self.stack_of.astype(np.int64), self.index_in_stack])
        return np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)

    def image_name(self, row: int) -> str:
        """Of a particle's image, as RELION writes it: number from 1 @ stack as written."""
        return f"{self.index_in_stack[row] + 1:06d}@{self.stack_names[self.stack_of[row]]}"

    def select(self, rows: np.ndarray) -> ParticleSet:
        """The given particles (indices or a mask), in their order."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        arrays = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, source=self.source.select(rows), **arrays)


def read_particles(
    path: str | Path,
    image_root: str | Path | None = None,
    *,
    check_images: bool = True,
    require_poses: bool = True,
    require_ctf: bool = True,
    on_mixed_optics: str = "error",
    ctf_in_images: str = "auto",
    pixel_size_of: str = "particles",
    bare_stack: bool = False,
) -> ParticleSet:
    """Read particles and check all that can be checked without reading the images.

    Args:
        path: a RELION STAR file (3.0, 3.1, 5), a RELION job folder, a CryoSPARC `.cs` (with its
            passthrough beside it) or `.csg`.
        image_root: where relative image paths start; None: the current folder, as RELION does,
            else the folder of the file or one above it.
        check_images: whether the stacks must exist and fit; conversions do without.
        require_poses: whether particles without angles are an error; else those missing are 0.
        require_ctf: whether particles without defocus are an error; else their CTF is 1.
        on_mixed_optics: `error`, or `resample` to bring optics groups of different pixel or box
            size to the coarsest pixel size and the largest box that all images cover.
        ctf_in_images: what was done to the images with their CTF: none, phase_flipped,
            premultiplied, or auto, as the file says.
        pixel_size_of: what to believe where the stacks' headers have another pixel size:
            `particles` (their file, with a warning), or `stacks`.
        bare_stack: whether the path is a stack, whose images have neither pose nor CTF.

    Returns:
        The particles in file order.

    Raises:
        InputError: for the first thing wrong.
    """
    path = Path(path)
    if path.is_dir():
        path = job_particles(path)
    if path.suffix in (".cs", ".csg"):
        source: StarParticles | CsParticles = read_cs_particles(path)
        fields = cryosparc_fields(source, require_poses, require_ctf)
    else:
        if not bare_stack:
            _check_kind(path)
        source = stack_source(path) if bare_stack else read_star_particles(path)
        fields = relion_fields(source, require_poses, require_ctf)
    source = believed_ctf(source, fields, ctf_in_images)
    if check_images:
        _check_doubles(source, fields)
    names, stack_of = np.unique(fields.pop("image_path"), return_inverse=True)
    stacks = tuple(Path(name) for name in names.tolist())
    box = fields.pop("image_box_size")
    if check_images:
        stacks = resolve_images(stacks, path, image_root)
        headers = [read_header(stack) for stack in stacks]
        box = _check_stacks(source, headers, stack_of, fields, box)
        source = believed_pixel_size(source, fields, headers, stack_of, pixel_size_of)
    on_mixed_optics = on_mixed_optics if check_images else "resample"
    size = _common_size(source, fields, box, on_mixed_optics)
    return assemble(source, fields, stacks, names, stack_of, *size)


def assemble(
    source: StarParticles | CsParticles,
    fields: dict[str, np.ndarray],
    stacks: tuple[Path, ...],
    names: np.ndarray,
    stack_of: np.ndarray,
    box_size: int,
    pixel_size: float,
) -> ParticleSet:
    """Particles from what `relion_fields` or `cryosparc_fields` say of them.

    Args:
        source: their file.
        fields: of each particle.
        stacks: where they are.
        names: as the file has them.
        stack_of: of each particle.
        box_size: pixels.
        pixel_size: Å.
    """
    return ParticleSet(
        source=source,
        stack_paths=stacks,
        stack_names=tuple(names.tolist()),
        stack_of=stack_of.astype(np.int32),
        box_size=box_size,
        pixel_size=pixel_size,
        micrograph=fields.pop("micrograph", None),
        # What only files need stays in the source.
        **{name: fields[name] for name in fields.keys() & ParticleSet.__dataclass_fields__.keys()},
    )


_IMAGES = (".mrcs", ".mrc", ".map", ".st", ".tif", ".tiff", ".eer", ".hdf", ".h5", ".spi", ".img")


def _check_kind(path: Path) -> None:
    """Refuse images where the table is wanted that says their poses."""
    if path.suffix.lower() in _IMAGES:
        expected = "the .star or .cs file that lists its images with their poses"
        raise InputError(path, None, "images without poses or CTF", expected)


def _check_doubles(source: StarParticles | CsParticles, fields: dict[str, np.ndarray]) -> None:
    """Refuse a particle that occurs twice; copies with other poses (expansion) are fine."""
    doubled = np.char.find(fields["identity"], "#") >= 0
    if not doubled.any():
        return
    seen: dict[tuple, int] = {}
    base = np.char.partition(fields["identity"], "#")[:, 0]
    for row in np.flatnonzero(np.isin(base, base[doubled])).tolist():
        pose = (fields["rotations"][row].tobytes(), fields["shifts"][row].tobytes())
        first = seen.setdefault((base[row], *pose), row)
        if first != row:
            found = f"{base[row]} again, as in row {first + 1}, with the same pose"
            raise InputError(source.file, _where(source, row), found, "each particle once")


def _check_stacks(
    source: StarParticles | CsParticles,
    headers: list[MrcHeader],
    stack_of: np.ndarray,
    fields: dict[str, np.ndarray],
    box: np.ndarray,
) -> np.ndarray:
    """Check indices and box sizes against the stacks' headers; the box of each image."""
    count = np.array([header.shape[0] for header in headers])
    index = fields["index_in_stack"]
    if (index >= count[stack_of]).any():
        row = int(np.argmax(index >= count[stack_of]))
        header = headers[stack_of[row]]
        found = f"image {index[row] + 1} of {header.path}"
        raise InputError(source.file, _where(source, row), found, f"1 to {header.shape[0]}")
    for k, header in enumerate(headers):
        _, y, x = header.shape
        if x != y:
            raise InputError(header.path, None, f"images of {x} x {y} pixels", "square images")
        rows = np.flatnonzero(stack_of == k)
        wrong = rows[(box[rows] != 0) & (box[rows] != x)]
        if len(wrong):
            found, expected = f"box size {box[wrong[0]]}", f"{x} as in {header.path}"
            raise InputError(source.file, _where(source, int(wrong[0])), found, expected)
    return np.array([header.shape[2] for header in headers])[stack_of]


def _common_size(
    source: StarParticles | CsParticles,
    fields: dict[str, np.ndarray],
    box: np.ndarray,
    on_mixed: str,
) -> tuple[int, float]:
    """Box and pixel size of the whole set."""
    if on_mixed not in ("error", "resample"):
        raise InputError(None, "on_mixed_optics", on_mixed, "error or resample")
    size = fields["image_pixel_size"]
    kinds, first = np.unique(np.stack([box, size]), axis=1, return_index=True)
    boxes, sizes = kinds[0].astype(np.int64), kinds[1]
    same = sizes.max() - sizes.min() <= _SAME_PIXEL_SIZE * sizes.max()
    if same and boxes.min() == boxes.max():
        # Rounding differences between groups are not worth a resampling.
        fields["image_pixel_size"] = np.full(len(size), sizes[0])
        return int(boxes[0]), float(sizes[0])
    if on_mixed == "resample":
        return common_grid(boxes, sizes)
    groups = fields["optics_group"][first]
    listed = "; ".join(
        f"group {g}: {b} px of {s:g} Å" for g, b, s in zip(groups, boxes, sizes, strict=True)
    )
    expected = 'one box and pixel size (on_mixed_optics="resample" makes them one)'
    raise InputError(source.file, "optics groups", listed, expected)


def _where(source: StarParticles | CsParticles, row: int) -> str:
    return source.particles.where(row) if isinstance(source, StarParticles) else f"row {row + 1}"


def write_particles(
    path: str | Path, particles: ParticleSet, columns: dict[str, np.ndarray] | None = None
) -> None:
    """Write the particles with the rows, order, columns and optics they came with, and more.

    A STAR file for RELION must find its stacks from the current folder: names that do not are
    written as absolute paths, with the original name in `emjaxImageName`.

    Args:
        path: `.cs` for CryoSPARC, anything else for STAR; the other program's input is translated.
        particles: as read.
        columns: STAR label (without underscore) to one value per particle, new or replacing.

    Raises:
        InputError: when a column has the wrong length, or the file cannot be written.
    """
    columns = columns or {}
    if Path(path).suffix == ".cs":
        write_cs(path, with_cs_columns(cryosparc_source(particles), columns))
    else:
        write_star(path, with_star_columns(relion_source(particles), columns).star)


def relion_source(particles: ParticleSet) -> StarParticles:
    """The particles as a STAR file whose stacks RELION finds from the current folder."""
    source = particles.source
    star = star_from_cs(source, False) if isinstance(source, CsParticles) else source
    return reroot_images(star, _moved_stacks(particles))


def cryosparc_source(particles: ParticleSet) -> CsParticles:
    """The particles as a `.cs` table."""
    if isinstance(particles.source, CsParticles):
        return particles.source
    return cs_from_star(relion_source(particles), particles.box_size, require_ctf=False)


def _moved_stacks(particles: ParticleSet) -> dict[str, Path]:
    """Stacks that are not where their written name says, seen from the current folder."""
    here = Path.cwd()
    moved = {}
    for name, stack in zip(particles.stack_names, particles.stack_paths, strict=True):
        if Path(name) != stack and here / name != stack:
            moved[name] = stack.absolute()
    return moved
