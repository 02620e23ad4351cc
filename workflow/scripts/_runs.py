"""The files of one run."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _labels import write_labels

from emjax.classify.em3d.state import RunResult, Scene
from emjax.imaging.particles import Particles
from emjax.io.files import write_json, write_tsv
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import ParticleSet
from emjax.resolution import resolution_at


def fsc_table(fsc: np.ndarray, extent: float) -> pd.DataFrame:
    """FSC of each class by shell; the box is `extent` Å long. DC is left out."""
    shells = np.arange(1, fsc.shape[1])
    return pd.concat(
        pd.DataFrame(
            {
                "class": k + 1,
                "resolution": extent / shells,
                "frequency_per_angstrom": shells / extent,
                "fsc": fsc[k, 1:],
            }
        )
        for k in range(len(fsc))
    )


def write_run(
    folder: Path,
    table: ParticleSet,
    result: RunResult,
    particles: Particles,
    scene: Scene,
    common: dict[str, Any],
    suffixes: list[str],
) -> None:
    """Write labels, posteriors, maps and, last, metrics.json of an em3d run."""
    write_labels(folder, table, result.labels, result.posteriors, suffixes)
    for k in range(result.run.n_classes):
        maps = {
            "": result.maps[k],
            "_half1": result.half_maps[0, k],
            "_half2": result.half_maps[1, k],
            "_hard": result.hard_maps[k],
        }
        for part, volume in maps.items():
            write_volume(folder / f"class_{k + 1:03d}{part}.mrc", volume, particles.voxel_size)
    write_tsv(folder / "fsc.tsv", fsc_table(result.fsc, particles.extent))
    mean = np.asarray(scene.solvent_mask * scene.mean_map)
    differences = np.sqrt(np.mean((result.maps - mean) ** 2, (1, 2, 3)) / np.mean(mean**2))
    metrics = common | {
        "run": folder.name,
        "n_classes": result.run.n_classes,
        "seed": result.run.seed,
        "iterations": len(result.history),
        "converged": result.converged,
        "log_likelihood": result.log_likelihood,
        "class_sizes": np.bincount(result.labels, minlength=result.run.n_classes).tolist(),
        "class_mass": result.posteriors.sum(0, dtype=float).tolist(),
        "ess_histogram": result.ess_histogram.tolist(),
        "resolution": [resolution_at(fsc, particles.extent) for fsc in result.fsc],
        "difference_from_mean": differences.tolist(),
        "warnings": list(result.warnings),
        "history": [record.to_dict() for record in result.history],
        "flow": [table.tolist() for table in result.flow],
    }
    write_json(folder / "metrics.json", metrics)
