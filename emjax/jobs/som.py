"""A batch of self-organising maps: the mask of its images, and what each map found."""

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import RunFolder
from emjax.classify.classification import Classification
from emjax.classify.som.images import MaskedPixels, circular_mask, class_averages
from emjax.classify.som.kerdensom import SomOptions, SomRun
from emjax.classify.som.quality import explained_variance, node_table
from emjax.errors import InputError
from emjax.imaging.particles import Particles, chunks
from emjax.io.files import write_tsv
from emjax.io.mrc.header import read_header
from emjax.io.mrc.resample import resampling_matrix
from emjax.io.particles.particle_set import ParticleSet

ROWS = 512


def som_options(options: dict[str, Any]) -> SomOptions:
    """Options of the library from those of the configuration."""
    components = options["n_components"]
    return SomOptions(
        map=tuple(options["map"]),
        layout=options["layout"],
        mode=options["mode"],
        regularisation=(options["initial_regularisation"], options["final_regularisation"]),
        annealing_steps=options["annealing_steps"],
        max_iterations=options["max_iterations"],
        tolerance=options["tolerance"],
        start=options["start"],
        n_components=None if components == "auto" else components,
    )


def mask_of(options: dict[str, Any], particles: Particles, pixel_size: float) -> np.ndarray:
    """The mask's file on the cropped box, or a circle."""
    box_size, voxel_size = particles.box_size, particles.voxel_size
    if options["mask"] is None:
        radius = options["mask_radius"]
        pixels = box_size / 2 - 2 if radius is None else radius / voxel_size
        if not 2 <= pixels <= box_size / 2:
            half = box_size * voxel_size / 2
            raise InputError("config", "runs.som.mask_radius", f"{radius:g} Å", f"up to {half:g} Å")
        return circular_mask(box_size, float(pixels))
    path = Path(options["mask"])
    header, full = read_header(path), particles.stack_box_size
    if header.shape != (1, full, full):
        raise InputError(path, "runs.som.mask", f"{header.shape}", f"one image of {full} pixels")
    mask = np.asarray(header.open()[0], np.float32)
    to_cropped = resampling_matrix(full, pixel_size, box_size, voxel_size)
    return np.clip(to_cropped @ mask @ to_cropped.T, 0, 1).astype(np.float32)


def properties_of(table: ParticleSet) -> dict[str, np.ndarray]:
    """Metadata that have a mean over the particles of a node; angles, which wrap around, do not."""
    particles = dataclasses.replace(table.source.particles)  # type: ignore[union-attr]
    found = {
        "defocus": (table.defocus_u + table.defocus_v) / 2,
        "tilt": np.degrees(np.arccos(np.clip(table.rotations[:, 2, 2], -1, 1))),
        "shift": np.linalg.norm(table.shifts, axis=1),
    }
    for label in particles.labels:
        if "Angle" not in label and "Defocus" not in label:
            with suppress(InputError):  # a column of text
                found[label] = particles.numbers(label)
    return {label: values for label, values in found.items() if np.ptp(values) > 0}


def classification_of(
    run: SomRun,
    options: SomOptions,
    images: np.ndarray,
    pixels: MaskedPixels,
    properties: dict[str, np.ndarray],
) -> Classification:
    """A trained map in the words of every method."""
    grid = options.grid
    blocks = (images[rows] for rows in chunks(len(images), ROWS))
    return Classification(
        method="som",
        labels=run.labels,
        posteriors=run.posteriors,
        seed=run.seed,
        images={
            "class_averages": class_averages(blocks, run.labels, grid.n_nodes),
            "code_vectors": pixels.images(run.code_vectors),
        },
        converged=run.converged,
        iterations=len(run.table),
        facts={
            "map": {"columns": grid.columns, "rows": grid.rows, "layout": grid.layout},
            "width": run.width,
            "explained": {k: explained_variance(v, run.labels) for k, v in properties.items()},
            **dataclasses.asdict(run.quality),
        },
    )


def write_tables(
    folder: RunFolder, run: SomRun, options: SomOptions, properties: dict[str, np.ndarray]
) -> None:
    """Write what only a map has: its nodes, and its convergence."""
    nodes = node_table(run.code_vectors, run.posteriors, options.grid, properties)
    write_tsv(folder.nodes, pd.DataFrame(nodes))
    write_tsv(folder.convergence, pd.DataFrame(map(dataclasses.asdict, run.table)))
