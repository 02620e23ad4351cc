"""Classes handed to other programs: RELION, CryoSPARC, cryoDRGN, tables, ChimeraX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles, write_cs
from emjax.io.export.chimerax import export_chimerax
from emjax.io.export.classes import ExportedClass
from emjax.io.export.relion import export_relion
from emjax.io.fields import label
from emjax.io.files import write_npy, write_text
from emjax.io.particles.columns import merged_records, with_cs_columns
from emjax.io.particles.particle_set import ParticleSet, cryosparc_source

FORMATS = ("relion", "cryosparc", "cryodrgn", "table", "chimerax")


def export_campaign(
    folder: str | Path,
    particles: ParticleSet,
    columns: dict[str, np.ndarray],
    classes: list[ExportedClass],
    formats: tuple[str, ...] = FORMATS,
) -> list[Path]:
    """Write the classes in the form of every program, one folder each.

    Args:
        folder: `results/<campaign>/export`.
        particles: the campaign's input, read with its images.
        columns: STAR label to one value per particle; `rlnClassNumber` (1-based, 0 unassigned) is
            needed, `rlnMaxValueProbDistribution`, `emjaxStability` … are taken along.
        classes: files of class 1, 2, …; their number must be the largest class number.
        formats: any of `FORMATS`.

    Returns:
        The files written.

    Raises:
        InputError: for an unknown format, class numbers without a map, or an unwritable folder.
    """
    folder = Path(folder)
    number = np.asarray(columns[label("class_number")])
    for name in formats:
        if name not in FORMATS:
            raise InputError(None, "export formats", name, f"any of {', '.join(FORMATS)}")
    if len(number) != len(particles) or number.min() < 0 or number.max() > len(classes):
        found = f"class numbers {number.min()} to {number.max()} of {len(number)} particles"
        expected = f"0 to {len(classes)} of {len(particles)} particles"
        raise InputError(None, label("class_number"), found, expected)
    written: list[Path] = []
    if "relion" in formats:
        written += export_relion(folder / "relion", particles, columns, classes)
    if "cryosparc" in formats:
        written += export_cryosparc(folder / "cryosparc", particles, columns)
    if "cryodrgn" in formats:
        written += export_indices(folder / "cryodrgn", number)
    if "table" in formats:
        written.append(export_table(folder / "particles.csv", particles, columns))
    if "chimerax" in formats:
        written += export_chimerax(folder / "chimerax", number, classes)
    return written


def export_cryosparc(
    folder: str | Path, particles: ParticleSet, columns: dict[str, np.ndarray]
) -> list[Path]:
    """Particles with class and posterior as a results group, for "Import Result Group".

    All fields, of passthrough files too, are in the one table; `particles_class_K.cs` are the
    classes on their own, `particles_unassigned.cs` those that belong to none.
    """
    folder = Path(folder)
    source = cryosparc_source(particles)
    whole = CsParticles(source.file, merged_records(source))
    records = with_cs_columns(whole, columns)
    number = np.asarray(columns[label("class_number")])
    written = []
    parts = {"particles": np.ones(len(number), bool)}
    parts |= {f"particles_{name}": rows for name, rows in _members(number).items() if rows.any()}
    for name, rows in parts.items():
        written += [folder / f"{name}.cs", folder / f"{name}.csg"]
        write_cs(written[-2], records[rows])
        write_text(written[-1], _group(name, records[rows]))
    return written


def _group(name: str, records: np.ndarray) -> str:
    """A results group that names the slots of one table."""
    names = records.dtype.names or ()
    slots = dict.fromkeys(n.split("/")[0] for n in names if "/" in n)
    known = [s for s in slots if s in ("blob", "ctf", "location", "alignments2D", "alignments3D",
                                       "alignments3D_multi")]  # fmt: skip
    lines = [
        "group:",
        "  description: Particles classified by emjax",
        f"  name: {name}",
        f"  title: {name}",
        "  type: particle",
        "results:",
    ]
    for slot in known:
        kind = slot.removesuffix("_multi")
        lines.append(f"  {slot}:")
        lines.append(f"    metafile: '>{name}.cs'")
        lines.append(f"    num_items: {len(records)}")
        lines.append(f"    type: particle.{kind}")
    return "\n".join([*lines, "type: results", "version: v4.0.0", ""])


def export_indices(folder: str | Path, number: np.ndarray) -> list[Path]:
    """Row numbers (0-based) of the particles of each class, of all assigned ones, and of no class.

    Written as `.npy` and as text, for `--ind` of cryoDRGN and for scripts.
    """
    folder = Path(folder)
    written = []
    for name, rows in {"assigned": number > 0, **_members(number)}.items():
        index = np.flatnonzero(rows).astype(np.int64)
        written += [folder / f"{name}.npy", folder / f"{name}.txt"]
        write_npy(written[-2], index)
        write_text(written[-1], "".join(f"{i}\n" for i in index.tolist()))
    return written


def _members(number: np.ndarray) -> dict[str, np.ndarray]:
    """Which particles belong to each class, and to none where there are some, by file name."""
    sets = {f"class_{k:03d}": number == k for k in range(1, int(number.max(initial=0)) + 1)}
    return sets | ({"unassigned": number == 0} if (number == 0).any() else {})


def export_table(path: str | Path, particles: ParticleSet, columns: dict[str, np.ndarray]) -> Path:
    """One line per particle as CSV: key, stack, number in the stack (from 1), and the columns."""
    names = np.array([str(stack) for stack in particles.stack_paths])
    table = pd.DataFrame(
        {
            "identity": particles.identity,
            "stack": names[particles.stack_of],
            "image": particles.index_in_stack + 1,
            **{name: np.asarray(values) for name, values in columns.items()},
        }
    )
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return Path(path)
