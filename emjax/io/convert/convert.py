"""STAR to `.cs` and back without loss: the original travels beside its translation.

`a.star` becomes `b.cs` and `b_passthrough.star`; when `b.cs` is translated back, what did not
change is taken, character by character, from the passthrough file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.convert.missing import left_out
from emjax.io.convert.translate import (
    class_fields,
    cs_from_star,
    star_class_fields,
    star_from_cs,
    star_uids,
)
from emjax.io.convert.update import updated_cs, updated_star
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.cryosparc.job import read_cs_particles
from emjax.io.cryosparc.tables import CsParticles, write_cs
from emjax.io.fields import FIELDS, label
from emjax.io.mrc.header import read_header
from emjax.io.particles.columns import has_poses, merged_records
from emjax.io.particles.locate import resolve_images
from emjax.io.star.fields import relion_fields
from emjax.io.star.relion import StarParticles, job_particles, read_star_particles
from emjax.io.star.tables import write_star

Source = StarParticles | CsParticles


@dataclass(frozen=True)
class Conversion:
    """What a conversion did."""

    written: tuple[Path, ...]
    particles: int
    restored_from: Path | None
    changed: tuple[str, ...]
    left_out: tuple[str, ...]
    """Columns of the source that the target's program has no place for."""


def convert(
    source: str | Path,
    target: str | Path,
    passthrough: str | Path | None = None,
    image_root: str | Path | None = None,
    box_size: int = 0,
) -> Conversion:
    """Translate a particle file, read the result again and compare.

    Args:
        source: STAR, RELION job folder, `.cs` or `.csg`.
        target: the file to write; `.cs` for CryoSPARC, else STAR.
        passthrough: the original that `source` was translated from; None: the file
            `…_passthrough.star` or `.cs` beside it, where there is one.
        image_root: where relative image paths start, to look up a box size that is not in the
            file (RELION 3.0).
        box_size: that box size, where the images are not at hand.

    Returns:
        What was written and what had changed since the original.

    Raises:
        InputError: for a malformed file, or when the result does not read back as the source.
    """
    source, target = Path(source), Path(target)
    source = job_particles(source) if source.is_dir() else source
    read = _read(source)
    to_cs = target.suffix == ".cs"
    if to_cs and isinstance(read, StarParticles):
        box_size = box_size or _box_size(read, source, image_root)
    original = _original(source, passthrough, to_cs)
    changed: tuple[str, ...] = ()
    if original is not None:
        result, changed = _restored(read, _read(original))
    else:
        result = _translated(read, to_cs, box_size)
    written = [target]
    _write(target, result)
    other = isinstance(read, CsParticles) != to_cs
    if original is None and other:
        beside = target.with_name(f"{target.stem}_passthrough{'.star' if to_cs else '.cs'}")
        written.append(beside)
        _write(beside, read)
    _compare(read, _read(target), source, target)
    missing = left_out(read) if other else ()
    return Conversion(tuple(written), len(uids(read)), original, changed, missing)


def _read(path: Path) -> Source:
    return read_cs_particles(path) if path.suffix in (".cs", ".csg") else read_star_particles(path)


def _write(path: Path, source: Source) -> None:
    if isinstance(source, CsParticles):
        write_cs(path, merged_records(source))
    else:
        write_star(path, source.star)


def _translated(source: Source, to_cs: bool, box_size: int) -> Source:
    if isinstance(source, CsParticles):
        return source if to_cs else star_from_cs(source)
    return cs_from_star(source, box_size) if to_cs else source


def _original(source: Path, passthrough: str | Path | None, to_cs: bool) -> Path | None:
    """The file that the source was once translated from, if it is of the kind wanted."""
    suffix = ".cs" if to_cs else ".star"
    if passthrough is not None:
        path = Path(passthrough)
        if path.suffix != suffix:
            raise InputError(path, "--passthrough", path.suffix or "no suffix", suffix)
        return path
    path = source.with_name(f"{source.stem}_passthrough{suffix}")
    other_kind = (source.suffix in (".cs", ".csg")) != to_cs
    return path if other_kind and path.exists() else None


def _box_size(source: StarParticles, path: Path, image_root: str | Path | None) -> int:
    """Box size from the first stack, where the file itself does not say."""
    fields = relion_fields(source, require_poses=False)
    if fields["image_box_size"].all():
        return 0
    first = (Path(str(fields["image_path"][0])),)
    try:
        return read_header(resolve_images(first, path, image_root)[0]).shape[2]
    except InputError as error:
        expected = "its stacks, or --box-size"
        raise InputError(path, f"no _{label('image_box_size')}", str(error), expected) from error


def uids(source: Source) -> np.ndarray:
    """uint64 uid of each particle."""
    return source["uid"].astype(np.uint64) if isinstance(source, CsParticles) else star_uids(source)


def fields_of(source: Source) -> dict[str, np.ndarray]:
    """Fields of either kind, with class number and posterior where there are any."""
    if isinstance(source, CsParticles):
        return cryosparc_fields(source, require_poses=False) | class_fields(source)
    return relion_fields(source, require_poses=False) | star_class_fields(source)


def _restored(read: Source, original: Source) -> tuple[Source, tuple[str, ...]]:
    """The original's particles that are still there, in the new order, with what changed."""
    ours, theirs = uids(read), uids(original)
    rows = pd.Index(theirs).get_indexer(ours)
    if (rows < 0).any():
        found = f"uid {ours[np.argmax(rows < 0)]} missing"
        raise InputError(original.file, None, found, f"every particle of {read.file}")
    base = original.select(rows)
    old, new = fields_of(base), fields_of(read)
    changed = {name: rows for name, rows in differences(old, new).items() if rows.any()}
    if has_poses(read) and not has_poses(base):
        every = np.ones(len(rows), bool)
        changed |= {"rotations": every, "shifts": every}
    if isinstance(base, StarParticles):
        return updated_star(base, new, changed), tuple(changed)
    return replace(base, records=updated_cs(base, new, changed)), tuple(changed)


def differences(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows whose fields differ by more than translation may change."""
    return {
        name: field.differs(old.get(name), new[name])
        for name, field in FIELDS.items()
        if field.tolerance is not None and name in new
    }


def _compare(read: Source, written: Source, source: Path, target: Path) -> None:
    """Refuse a result that does not say what its source says."""
    ours, theirs = uids(read), uids(written)
    if not np.array_equal(ours, theirs):
        raise InputError(target, "self-check", "other particles or order", f"those of {source}")
    old, new = fields_of(read), fields_of(written)
    # A group of several optics becomes several groups.
    pairs = {
        (int(a), int(b)) for a, b in zip(new["optics_group"], old["optics_group"], strict=True)
    }
    split = len(pairs) == len(set(new["optics_group"].tolist()))
    may_differ = ("class_number", "posterior", *(("optics_group",) if split else ()))
    for name, rows in differences(old, new).items():
        if name not in may_differ and rows.any():
            row = int(np.argmax(rows))
            place = f"self-check, row {row + 1}"
            raise InputError(target, place, f"{name} {new[name][row]}", old[name][row])
