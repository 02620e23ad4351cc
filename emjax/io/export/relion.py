"""A campaign's classes as RELION's Class3D writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.io.export.classes import ExportedClass, link_map
from emjax.io.fields import label
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import with_star_columns
from emjax.io.particles.particle_set import ParticleSet, relion_source
from emjax.io.star.lists import ListBlocks, write_lists
from emjax.io.star.tables import write_star

_ITERATION = 25


def export_relion(
    folder: str | Path,
    particles: ParticleSet,
    columns: dict[str, np.ndarray],
    classes: list[ExportedClass],
) -> list[Path]:
    """A Class3D job as RELION writes it: Subset selection and Display open it.

    `run_it025_data.star` holds the assigned particles, `particles_class_001.star` and so on those
    of one class, `run_unassigned_data.star` the others; half-maps have the names that
    Post-processing looks for.
    """
    folder = Path(folder)
    root = folder / f"run_it{_ITERATION:03d}"
    number = np.asarray(columns[label("class_number")])
    source = with_star_columns(relion_source(particles), columns)
    if "rlnGroupNumber" not in source.particles:
        source = with_star_columns(source, {"rlnGroupNumber": np.ones(len(number), np.int64)})
    written = [Path(f"{root}_data.star")]
    write_star(written[0], source.select(np.flatnonzero(number > 0)).star)
    if (number == 0).any():
        written.append(folder / "run_unassigned_data.star")
        write_star(written[-1], source.select(np.flatnonzero(number == 0)).star)
    for k, one in enumerate(classes, 1):
        if (number == k).any():
            written.append(folder / f"particles_class_{k:03d}.star")
            write_star(written[-1], source.select(np.flatnonzero(number == k)).star)
        written.append(link_map(one.map, Path(f"{root}_class{k:03d}.mrc")))
        for h, half_map in enumerate(one.half_maps or (), 1):
            written.append(link_map(half_map, folder / f"run_half{h}_class{k:03d}_unfil.mrc"))
    written += [Path(f"{root}_model.star"), Path(f"{root}_optimiser.star")]
    write_lists(written[-2], _model(root, particles, number, classes))
    general = {
        "rlnOutputRootName": str(folder / "run"),
        "rlnModelStarFile": f"{root}_model.star",
        "rlnExperimentalDataStarFile": f"{root}_data.star",
        "rlnCurrentIteration": _ITERATION,
        "rlnNumberOfIterations": _ITERATION,
        "rlnDoSplitRandomHalves": 0,
    }
    write_lists(written[-1], {"optimiser_general": general})
    return written


def _model(
    root: Path, particles: ParticleSet, number: np.ndarray, classes: list[ExportedClass]
) -> ListBlocks:
    """The model file: one row per class, one table of shells per class, one group."""
    volumes = [read_volume(one.map) for one in classes]
    box, voxel_size = volumes[0][0].shape[0], volumes[0][1]
    resolution = np.array([one.resolution for one in classes])
    finest = float(np.nanmin(np.append(resolution, 999.0)))
    assigned = max(int((number > 0).sum()), 1)
    sizes = np.array([(number == k).sum() for k in range(1, len(classes) + 1)])
    general = {
        "rlnReferenceDimensionality": 3,
        "rlnDataDimensionality": 2,
        "rlnOriginalImageSize": box,
        "rlnCurrentResolution": finest,
        "rlnCurrentImageSize": box,
        "rlnPaddingFactor": 1.0,
        "rlnPixelSize": round(voxel_size, 6),
        "rlnNrClasses": len(classes),
        "rlnNrBodies": 1,
        "rlnNrGroups": 1,
        "rlnTau2FudgeFactor": 1.0,
        "rlnNormCorrectionAverage": 1.0,
        "rlnSigmaOffsetsAngst": 0.0,
    }
    rows = {
        "rlnReferenceImage": [f"{root}_class{k:03d}.mrc" for k in range(1, len(classes) + 1)],
        "rlnClassDistribution": np.round(sizes / assigned, 6),
        "rlnAccuracyRotations": np.zeros(len(classes)),
        "rlnAccuracyTranslationsAngst": np.zeros(len(classes)),
        "rlnEstimatedResolution": np.nan_to_num(resolution, nan=999.0),
        "rlnOverallFourierCompleteness": np.ones(len(classes)),
    }
    shells = {
        f"model_class_{k}": _shells(one.fsc, box, voxel_size) for k, one in enumerate(classes, 1)
    }
    groups = {
        "rlnGroupNumber": [1],
        "rlnGroupName": ["all"],
        "rlnGroupNrParticles": [len(particles)],
        "rlnGroupScaleCorrection": [1.0],
    }
    return {"model_general": general, "model_classes": rows, **shells, "model_groups": groups}


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
