"""Particles of a CryoSPARC job: its `.cs` tables, passthrough files and `.csg` groups as one."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.cryosparc.class_poses import with_class_poses
from emjax.io.cryosparc.tables import CsParticles, has_slot, read_cs
from emjax.io.star.parser import read_text

_SLOTS = ("blob", "ctf", "alignments3D")
_PLACES = ("location", "filament")


def read_cs_particles(path: str | Path) -> CsParticles:
    """Read a `.cs` or `.csg` with all it needs; passthrough files beside it are joined on uid.

    Raises:
        InputError: for a malformed file, a missing or doubled uid.
    """
    path = Path(path)
    if path.suffix == ".csg":
        files = _group_files(path)
        first, *others = (read_cs(file) for file in files)
    else:
        files, first, others = [path], read_cs(path), []
    source = CsParticles(str(path), first)
    _check_uids(str(files[0]), first)
    for file, table in zip(files[1:], others, strict=True):
        source = _join(source, table, str(file))
    return with_class_poses(_with_passthrough(source, path))


def _with_passthrough(source: CsParticles, path: Path) -> CsParticles:
    """The table with the fields that it lacks from the passthrough files beside it.

    Raises:
        InputError: where the file that has them lacks particles.
    """
    needed = [slot for slot in _SLOTS if not _has_some(source, slot)]
    wanted = [slot for slot in (*_SLOTS, *_PLACES) if not has_slot(source, slot)]
    lacking: InputError | None = None
    for file in _passthrough_files(path) if wanted else ():
        table = read_cs(file)
        names = table.dtype.names or ()
        if any(name.split("/")[0] in wanted or _is_multi(name) for name in names):
            try:
                source = _join(source, table, str(file))
            except InputError as error:
                lacking = error
    if lacking is not None and not all(_has_some(source, slot) for slot in needed):
        raise lacking
    if lacking is not None:
        warnings.warn(f"{lacking}; this passthrough file is not used", stacklevel=4)
    return source


def _has_some(source: CsParticles, slot: str) -> bool:
    """Whether a slot is there; of alignments any kind will do."""
    kinds = ("alignments2D", "alignments_class_0") if slot == "alignments3D" else ()
    return any(has_slot(source, kind) for kind in (slot, *kinds))


def _is_multi(name: str) -> bool:
    return name.startswith("alignments3D_multi/")


def _check_uids(file: str, records: np.ndarray) -> None:
    if "uid" not in (records.dtype.names or ()) or records["uid"].dtype.kind not in "ui":
        raise InputError(file, None, "no field uid", "a uid of every particle")
    uids, counts = np.unique(records["uid"], return_counts=True)
    if (counts > 1).any():
        twice = uids[np.argmax(counts > 1)]
        raise InputError(file, f"uid {twice}", f"{counts.max()} rows", "each uid once")


def _join(source: CsParticles, table: np.ndarray, file: str) -> CsParticles:
    """Add the fields of another table, its rows brought into the order of the source's uids."""
    _check_uids(file, table)
    rows = pd.Index(table["uid"].astype(np.uint64)).get_indexer(
        source.records["uid"].astype(np.uint64)
    )
    if (rows < 0).any():
        uid = source.records["uid"][np.argmax(rows < 0)]
        found = f"no row of {int((rows < 0).sum())} of {len(rows)} particles"
        raise InputError(file, f"uid {uid}", found, f"every particle of {source.file}")
    return replace(source, passthrough=(*source.passthrough, table[rows]))


def _passthrough_files(path: Path) -> list[Path]:
    """Passthrough files of the same job, in the same folder."""
    job = re.search(r"(?:^|_)(J\d+)(?=_|$)", path.stem)
    found = sorted(p for p in path.parent.glob("*passthrough*.cs") if p.name != path.name)
    if job is None:
        return found
    return [p for p in found if re.search(rf"(?:^|_){job[1]}(?=_|$)", p.stem)]


_METAFILE = re.compile(r"metafile:\s*(?:'([^']*)'|\"([^\"]*)\"|([^,}\s]+))")


def _group_files(path: Path) -> list[Path]:
    """The tables a `.csg` names, each once; `>` stands for the group's folder."""
    names = ["".join(match) for match in _METAFILE.findall(read_text(path))]
    if not names:
        raise InputError(path, None, "no metafile: entries", "a CryoSPARC results group")
    files = []
    for name in dict.fromkeys(names):
        relative = name.removeprefix(">")
        places = [
            path.parent / relative,
            path.parent.parent / relative,
            path.parent / Path(relative).name,
        ]
        hit = next((place for place in places if os.path.isfile(place)), None)
        if hit is None:
            raise InputError(path, f"metafile {name}", "no such file", "a .cs beside the group")
        files.append(hit)
    # The files that hold the job's own results come before what it passed through.
    return sorted(files, key=lambda file: "passthrough" in file.name)
