"""Classes handed to other programs: RELION, CryoSPARC, cryoDRGN, tables, ChimeraX."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles, write_cs
from emjax.io.export.chimerax import write_chimerax
from emjax.io.files import atomic_path, write_npy, write_text
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import merged_records, with_cs_columns, with_star_columns
from emjax.io.particles.particle_set import ParticleSet, cryosparc_source, relion_source
from emjax.io.star.tables import StarFile, make_table, write_star

FORMATS = ("relion", "cryosparc", "cryodrgn", "table", "chimerax")
_ITERATION = 25


@dataclass(frozen=True)
class ExportedClass:
    """The files of one class; half-maps unmasked, or None where there are none."""

    map: Path
    half_maps: tuple[Path, Path] | None = None
    resolution: float = 999.0
    """Å, where the FSC falls below 0.143."""
    fsc: np.ndarray | None = None
    """One value a shell of the map's box, DC first."""


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
        columns: STAR label to one value a particle; `rlnClassNumber` (1-based, 0 unassigned) is
            needed, `rlnMaxValueProbDistribution`, `emjaxStability` … are taken along.
        classes: files of class 1, 2, …; their number must be the largest class number.
        formats: any of `FORMATS`.

    Returns:
        The files written.

    Raises:
        InputError: for an unknown format, class numbers without a map, or an unwritable folder.
    """
    folder = Path(folder)
    number = np.asarray(columns["rlnClassNumber"])
    for name in formats:
        if name not in FORMATS:
            raise InputError(None, "export formats", name, f"any of {', '.join(FORMATS)}")
    if len(number) != len(particles) or number.min() < 0 or number.max() > len(classes):
        found = f"class numbers {number.min()} to {number.max()} of {len(number)} particles"
        expected = f"0 to {len(classes)} of {len(particles)} particles"
        raise InputError(None, "rlnClassNumber", found, expected)
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


def export_relion(
    folder: str | Path,
    particles: ParticleSet,
    columns: dict[str, np.ndarray],
    classes: list[ExportedClass],
) -> list[Path]:
    """A Class3D job as RELION writes it: Subset selection and Display open it.

    `run_it025_data.star` holds the assigned particles, `run_unassigned_data.star` the others;
    half-maps have the names that Post-processing looks for.
    """
    folder = Path(folder)
    root = folder / f"run_it{_ITERATION:03d}"
    number = np.asarray(columns["rlnClassNumber"])
    source = with_star_columns(relion_source(particles), columns)
    if "rlnGroupNumber" not in source.particles:
        source = with_star_columns(source, {"rlnGroupNumber": np.ones(len(number), np.int64)})
    written = [Path(f"{root}_data.star")]
    write_star(written[0], source.select(np.flatnonzero(number > 0)).star)
    if (number == 0).any():
        written.append(folder / "run_unassigned_data.star")
        write_star(written[-1], source.select(np.flatnonzero(number == 0)).star)
    for k, one in enumerate(classes, 1):
        written.append(_copy(one.map, Path(f"{root}_class{k:03d}.mrc")))
        for h, half_map in enumerate(one.half_maps or (), 1):
            written.append(_copy(half_map, folder / f"run_half{h}_class{k:03d}_unfil.mrc"))
    written += [Path(f"{root}_model.star"), Path(f"{root}_optimiser.star")]
    write_star(written[-2], _model(root, particles, number, classes))
    general = {
        "rlnOutputRootName": [str(folder / "run")],
        "rlnModelStarFile": [f"{root}_model.star"],
        "rlnExperimentalDataStarFile": [f"{root}_data.star"],
        "rlnCurrentIteration": [_ITERATION],
        "rlnNumberOfIterations": [_ITERATION],
        "rlnDoSplitRandomHalves": [0],
    }
    write_star(written[-1], StarFile((make_table("optimiser_general", general, loop=False),)))
    return written


def _model(
    root: Path, particles: ParticleSet, number: np.ndarray, classes: list[ExportedClass]
) -> StarFile:
    """The model file: one row a class, one table of shells a class, one group."""
    volumes = [read_volume(one.map) for one in classes]
    box, voxel_size = volumes[0][0].shape[0], volumes[0][1]
    resolution = np.array([one.resolution for one in classes])
    finest = float(np.nanmin(np.append(resolution, 999.0)))
    assigned = max(int((number > 0).sum()), 1)
    sizes = np.array([(number == k).sum() for k in range(1, len(classes) + 1)])
    general = {
        "rlnReferenceDimensionality": [3],
        "rlnDataDimensionality": [2],
        "rlnOriginalImageSize": [box],
        "rlnCurrentResolution": [finest],
        "rlnCurrentImageSize": [box],
        "rlnPaddingFactor": [1.0],
        "rlnPixelSize": [round(voxel_size, 6)],
        "rlnNrClasses": [len(classes)],
        "rlnNrBodies": [1],
        "rlnNrGroups": [1],
        "rlnTau2FudgeFactor": [1.0],
        "rlnNormCorrectionAverage": [1.0],
        "rlnSigmaOffsetsAngst": [0.0],
    }
    rows = {
        "rlnReferenceImage": [f"{root}_class{k:03d}.mrc" for k in range(1, len(classes) + 1)],
        "rlnClassDistribution": np.round(sizes / assigned, 6),
        "rlnAccuracyRotations": np.zeros(len(classes)),
        "rlnAccuracyTranslationsAngst": np.zeros(len(classes)),
        "rlnEstimatedResolution": np.nan_to_num(resolution, nan=999.0),
        "rlnOverallFourierCompleteness": np.ones(len(classes)),
    }
    tables = [make_table("model_general", general, loop=False), make_table("model_classes", rows)]
    for k, one in enumerate(classes, 1):
        tables.append(make_table(f"model_class_{k}", _shells(one.fsc, box, voxel_size)))
    groups = {
        "rlnGroupNumber": [1],
        "rlnGroupName": ["all"],
        "rlnGroupNrParticles": [len(particles)],
        "rlnGroupScaleCorrection": [1.0],
    }
    return StarFile((*tables, make_table("model_groups", groups)))


def _shells(fsc: np.ndarray | None, box: int, voxel_size: float) -> dict[str, np.ndarray]:
    shells = box // 2 + 1
    curve = np.zeros(shells)
    if fsc is not None:
        known = np.nan_to_num(np.asarray(fsc, np.float64)[:shells])
        curve[: len(known)] = np.clip(known, 0, 0.999)
    index = np.arange(shells)
    angstrom = np.concatenate([[999.0], box * voxel_size / index[1:]])
    return {
        "rlnSpectralIndex": index,
        "rlnResolution": np.round(index / (box * voxel_size), 6),
        "rlnAngstromResolution": np.round(angstrom, 6),
        "rlnSsnrMap": np.round(curve / (1 - curve), 6),
        "rlnGoldStandardFsc": np.round(curve, 6),
    }


def export_cryosparc(
    folder: str | Path, particles: ParticleSet, columns: dict[str, np.ndarray]
) -> list[Path]:
    """Particles with class and posterior as a results group, for "Import Result Group".

    All fields, of passthrough files too, are in the one table; `particles_class_K.cs` are the
    classes on their own.
    """
    folder = Path(folder)
    source = cryosparc_source(particles)
    whole = CsParticles(source.file, merged_records(source))
    records = with_cs_columns(whole, columns)
    number = np.asarray(columns["rlnClassNumber"])
    written = []
    parts = [("particles", np.ones(len(number), bool))]
    parts += [
        (f"particles_class_{k:03d}", number == k)
        for k in range(1, int(number.max(initial=0)) + 1)
        if (number == k).any()
    ]
    for name, rows in parts:
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
    """Row numbers (0-based) of the particles of each class, and of all assigned ones.

    Written as `.npy` and as text, for `--ind` of cryoDRGN and for scripts.
    """
    folder = Path(folder)
    sets = {f"class_{k:03d}": number == k for k in range(1, int(number.max(initial=0)) + 1)}
    written = []
    for name, rows in {"assigned": number > 0, **sets}.items():
        index = np.flatnonzero(rows).astype(np.int64)
        written += [folder / f"{name}.npy", folder / f"{name}.txt"]
        write_npy(written[-2], index)
        write_text(written[-1], "".join(f"{i}\n" for i in index.tolist()))
    return written


def export_table(path: str | Path, particles: ParticleSet, columns: dict[str, np.ndarray]) -> Path:
    """One line a particle as CSV: key, stack, number in the stack (from 1), and the columns."""
    names = np.array([str(stack) for stack in particles.stack_paths])
    table = pd.DataFrame(
        {
            "identity": particles.identity,
            "stack": names[particles.stack_of],
            "image": particles.index_in_stack + 1,
            **{label: np.asarray(values) for label, values in columns.items()},
        }
    )
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return Path(path)


def export_chimerax(
    folder: str | Path, number: np.ndarray, classes: list[ExportedClass]
) -> list[Path]:
    """Maps as a series, their mean, and a script that shows them coloured by the difference."""
    folder = Path(folder)
    maps = [_copy(one.map, folder / f"class_{k:03d}.mrc") for k, one in enumerate(classes, 1)]
    sizes = np.array([(number == k).sum() for k in range(1, len(classes) + 1)])
    return [*maps, *write_chimerax(folder, maps, sizes)]


def _copy(source: Path, target: Path) -> Path:
    """Copy a map whole or not at all."""
    with atomic_path(target) as beside:
        if not os.path.isfile(source):
            raise InputError(source, None, "no such file", "a map")
        shutil.copyfile(source, beside)
    return target
