"""Classes handed to other programs: RELION, CryoSPARC, cryoDRGN, tables, ChimeraX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.export.chimerax import export_chimerax
from emjax.io.export.classes import ExportedClass, class_members
from emjax.io.export.cryosparc import export_cryosparc
from emjax.io.export.relion import export_relion
from emjax.io.export.superclasses import export_superclasses
from emjax.io.export.volumes import zip_volumes
from emjax.io.fields import label
from emjax.io.files import write_npy, write_text
from emjax.io.particles.particle_set import ParticleSet

FORMATS = ("relion", "cryosparc", "cryodrgn", "table", "chimerax", "maps", "superclasses", "zip")


def export_campaign(
    folder: str | Path,
    particles: ParticleSet,
    columns: dict[str, np.ndarray],
    classes: list[ExportedClass],
    formats: tuple[str, ...] = FORMATS,
    superclasses: np.ndarray | None = None,
) -> list[Path]:
    """Write the classes in the form of every program, one folder each.

    Args:
        folder: `results/<campaign>/export`.
        particles: the campaign's input, read with its images.
        columns: STAR label to one value per particle; `rlnClassNumber` (1-based, 0 unassigned) is
            needed, `rlnMaxValueProbDistribution`, `emjaxStability` … are taken along.
        classes: files of class 1, 2, …; their number must be the largest class number.
        formats: any of `FORMATS`.
        superclasses: number of the superclass of each class, from 1; None: there are none.

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
    if "superclasses" in formats and superclasses is not None:
        written += export_superclasses(
            folder / "superclasses", particles, columns, classes, superclasses
        )
    if "zip" in formats:
        written.append(zip_volumes(folder / "volumes.zip", [one.map for one in classes]))
    return written


def export_indices(folder: str | Path, number: np.ndarray) -> list[Path]:
    """Row numbers (0-based) of the particles of each class, of all assigned ones, and of no class.

    Written as `.npy` and as text, for `--ind` of cryoDRGN and for scripts.
    """
    folder = Path(folder)
    written = []
    for name, rows in {"assigned": number > 0, **class_members(number)}.items():
        index = np.flatnonzero(rows).astype(np.int64)
        written += [folder / f"{name}.npy", folder / f"{name}.txt"]
        write_npy(written[-2], index)
        write_text(written[-1], "".join(f"{i}\n" for i in index.tolist()))
    return written


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
