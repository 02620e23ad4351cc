"""The files of a run, the same for every method: labels, posteriors, maps and, last, its record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from emjax.campaign.folder import RunFolder
from emjax.campaign.job import Job
from emjax.campaign.names import RunName
from emjax.classify.classification import Classification
from emjax.io.files import write_json, write_npy, write_tsv
from emjax.io.mrc.references import write_averages
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.jobs.prepared import Prepared


@dataclass(frozen=True)
class RunContext:
    """What the runs of a job share: where they come from, and how their files are written."""

    table: ParticleSet  # all particles, in the input's order
    rows: np.ndarray  # of those that were classified
    suffixes: tuple[str, ...]  # of particle files
    voxel_size: float = 0.0  # Å, of maps and images
    extent: float = 0.0  # Å, length of the box
    record: dict[str, Any] = field(default_factory=dict)  # version, options, checksum, devices


def runs_of(metrics: Sequence[str]) -> list[RunName]:
    """The runs of a job, from their records: parameters would rerun those that change batches."""
    return [RunFolder(Path(path).parent).name for path in metrics]


def run_context(work: Job, prepared: Prepared, params: Any, **record: Any) -> RunContext:
    """That of the runs of a job on the prepared particles.

    Args:
        work: the job.
        prepared: its particles.
        params: those of the rule: `emjax`, the version, and `options`.
        record: further facts for metrics.json.
    """
    shared = {
        "emjax_version": params.emjax,
        "options": params.options,
        "input_checksum": prepared.facts.checksum,
        "devices": [str(device) for device in jax.devices()],
        "log": work.log.name,
    }
    particles = prepared.particles
    return RunContext(
        prepared.everyone,
        prepared.rows,
        work.suffixes,
        particles.voxel_size,
        particles.extent,
        shared | record,
    )


def write_run(folder: RunFolder, found: Classification, context: RunContext) -> None:
    """Write what a run found; metrics.json comes last and says that the rest is there."""
    found = found.spread(context.rows, context.table.n)
    write_labels(folder, context, found.labels, found.posteriors)
    parts = {"": found.maps, "hard": found.hard_maps}
    if found.half_maps is not None:
        parts |= {"half1": found.half_maps[0], "half2": found.half_maps[1]}
    for part, maps in parts.items():
        for number, volume in enumerate(() if maps is None else maps, 1):
            write_volume(folder.class_map(number, part), volume, context.voxel_size)
    if found.fsc is not None:
        write_tsv(folder.fsc, fsc_table(found.fsc, context.extent))
    facts = {
        "rlnClassNumber": np.arange(found.n_classes) + 1,
        "rlnClassDistribution": found.class_sizes / len(context.rows),
    }
    for kind, images in found.images.items():
        write_averages(folder.images(kind)[0], images, context.voxel_size, facts)
    for name, table in found.tables.items():
        write_tsv(folder.table(name), pd.DataFrame(table))
    write_json(folder.metrics, context.record | {"run": folder.path.name} | found.record())


def write_labels(
    folder: RunFolder, context: RunContext, labels: np.ndarray, posteriors: np.ndarray
) -> None:
    """Write the files by which a run joins the consensus.

    Args:
        folder: of the run.
        context: whose particles they are.
        labels: class of each, 0-based, -1 where it has none; shape (n,).
        posteriors: of each class; shape (n, k).
    """
    columns = {
        "rlnClassNumber": labels + 1,
        "rlnMaxValueProbDistribution": posteriors.max(1),
    }
    for path in folder.particles.all(context.suffixes):
        write_particles(path, context.table, columns)
    write_npy(folder.posteriors, posteriors.astype(np.float32, copy=False))


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
