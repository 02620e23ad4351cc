"""Prepared particles as upright images, and the files of one map (DESIGN: runs/som-…)."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from emjax.classify.som import SomOptions, SomRun
from emjax.classify.som_images import MaskedPixels, circular_mask, class_averages
from emjax.classify.som_quality import property_map, u_matrix
from emjax.errors import InputError
from emjax.imaging.grids import pixels_to_images
from emjax.imaging.inplane import inplane_angles, turn_upright
from emjax.imaging.particles import Particles, chunks, contrast
from emjax.io.atomic import write_json, write_npy, write_tsv
from emjax.io.mrc import read_header
from emjax.io.particles import ParticleSet, write_particles
from emjax.io.references import write_averages
from emjax.io.resample import resampling_matrix

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


def upright_images(particles: Particles, phase_flip: bool) -> np.ndarray:
    """Images in real space, turned by their in-plane pose, phases flipped where the CTF is < 0."""
    grid, box_size = particles.grid, particles.box_size
    out = np.empty((particles.n, box_size, box_size), np.float32)
    angles = inplane_angles(particles.rotations).astype(np.float32)
    for rows in chunks(particles.n, ROWS):
        part = particles.take(rows)
        pixels = jnp.asarray(part.images)
        if phase_flip:
            pixels = pixels * jnp.sign(contrast(part.ctf, grid, jnp.float32(part.extent)))
        images = pixels_to_images(pixels, grid.kx, grid.ky, box_size)
        out[rows] = turn_upright(images, jnp.asarray(angles[rows]))
    return out


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


def write_map(
    folder: Path,
    table: ParticleSet,
    run: SomRun,
    options: SomOptions,
    images: np.ndarray,
    pixels: MaskedPixels,
    voxel_size: float,
    common: dict[str, Any],
    suffixes: list[str],
) -> None:
    """Write labels, memberships, averages, code vectors, tables and, last, metrics.json."""
    grid = options.grid
    columns = {
        "rlnClassNumber": run.labels + 1,
        "rlnMaxValueProbDistribution": run.posteriors.max(1),
    }
    for suffix in suffixes:
        write_particles(folder / f"particles{suffix}", table, columns)
    write_npy(folder / "posteriors.npy", run.posteriors)
    nodes = node_table(table, run, options)
    facts = {
        "rlnClassNumber": nodes["node"].to_numpy(),
        "rlnClassDistribution": nodes["size"].to_numpy() / table.n,
    }
    blocks = (images[rows] for rows in chunks(len(images), ROWS))
    averages = class_averages(blocks, run.labels, grid.n_nodes)
    write_averages(folder / "class_averages.mrcs", averages, voxel_size, facts)
    code_vectors = pixels.images(run.code_vectors)
    write_averages(folder / "code_vectors.mrcs", code_vectors, voxel_size, facts)
    write_tsv(folder / "nodes.tsv", nodes)
    write_tsv(folder / "convergence.tsv", pd.DataFrame(map(dataclasses.asdict, run.table)))
    metrics = common | {
        "run": folder.name,
        "n_classes": grid.n_nodes,
        "seed": run.seed,
        "iterations": len(run.table),
        "converged": run.converged,
        "map": {"columns": grid.columns, "rows": grid.rows, "layout": grid.layout},
        "width": run.width,
        **dataclasses.asdict(run.quality),
    }
    write_json(folder / "metrics.json", metrics)


def node_table(table: ParticleSet, run: SomRun, options: SomOptions) -> pd.DataFrame:
    """One row a node: place, size, membership, distance to the neighbours, mean properties."""
    grid = options.grid
    rows, columns = grid.coordinates.T
    y, x = grid.positions.T
    found = {
        "node": np.arange(grid.n_nodes) + 1,
        "row": rows,
        "column": columns,
        "x": x,
        "y": y,
        "size": np.bincount(run.labels, minlength=grid.n_nodes),
        "mass": run.posteriors.sum(0, dtype=np.float64),
        "neighbour_distance": u_matrix(run.code_vectors, grid).ravel(),
    }
    euler_tilt = np.degrees(np.arccos(np.clip(table.rotations[:, 2, 2], -1, 1)))
    properties = {
        "defocus": (table.defocus_u + table.defocus_v) / 2,
        "tilt": euler_tilt,
        "shift": np.linalg.norm(table.shifts, axis=1),
        "membership": run.posteriors.max(1).astype(float),
    }
    for name, values in properties.items():
        found[f"mean_{name}"] = property_map(values, run.labels, grid).ravel()
    return pd.DataFrame(found)
