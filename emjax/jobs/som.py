"""What a batch of self-organising maps starts from: options, mask, properties of its particles."""

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from emjax.classify.som.images import circular_mask
from emjax.classify.som.kerdensom import SomOptions
from emjax.errors import InputError
from emjax.imaging.particles import Particles
from emjax.io.fields import UID
from emjax.io.mrc.header import read_header
from emjax.io.mrc.resample import resampling_matrix
from emjax.io.particles.particle_set import ParticleSet

NAMING = (UID, "Number", "Id", "OpticsGroup", "Subset")  # ends of labels whose numbers are names


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


def as_aligned(particles: Particles, options: dict[str, Any]) -> Particles:
    """Particles without rotations where their images are aligned as they lie."""
    if not options["aligned"]:
        return particles
    upright = np.tile(np.eye(3, dtype=np.float32), (particles.n, 1, 1))
    return dataclasses.replace(particles, rotations=upright)


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
        # Of images aligned in 2D it is 0 but for rounding.
        "tilt": np.degrees(np.arccos(np.clip(table.rotations[:, 2, 2], -1, 1))).round(3),
        "shift": np.linalg.norm(table.shifts, axis=1),
    }
    for label in particles.labels:
        if "Angle" not in label and "Defocus" not in label and not label.endswith(NAMING):
            with suppress(InputError):  # a column of text
                found[label] = particles.numbers(label)
    return {label: values for label, values in found.items() if np.ptp(values) > 0}
