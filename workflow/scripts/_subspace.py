"""What the subspace rules share: options, masks and the files of a kept optimum."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from _labels import write_labels
from jaxtyping import Array

from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.pose_error import PoseError, nuisance_coefficients
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.classify.subspace.volumes import (
    components_from_coordinates,
    components_from_maps,
    components_from_states,
)
from emjax.imaging.grids import resample
from emjax.imaging.maps import slicing_values
from emjax.imaging.masks import resample_mask
from emjax.imaging.particles import Particles
from emjax.imaging.prepare import MeanMap
from emjax.io.cryosparc.coordinates import read_coordinates
from emjax.io.files import write_json
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import ParticleSet


def subspace_options(options: dict[str, Any], n_components: int | None = None) -> SubspaceOptions:
    """Options of the analysis from those of the configuration."""
    pose = options["pose_error"]
    if pose is False:  # how YAML reads off
        pose = "off"
    if isinstance(pose, dict):
        pose = PoseError(pose["rotation"], pose["shift"])
    return SubspaceOptions(
        n_classes=tuple(options["n_classes"]),
        n_components=n_components or options["n_components"],
        iterations=options["iterations"],
        pose_error=pose,
        regions=options["regions"],
        within_classes=options["within_classes"],
        evidence_seeds=options["evidence_seeds"],
    )


def read_mask(prepare: Path, focus: str | None, box_size: int, full_box: int) -> np.ndarray:
    """Where classes may differ: the solvent mask, and the focus mask inside it."""
    solvent = read_volume(prepare / "solvent_mask.mrc")[0]
    if not focus:
        return solvent
    return solvent * resample_mask(read_volume(focus, full_box)[0], box_size)


def given_components(
    options: dict[str, Any],
    table: ParticleSet,
    operators: PixelOperators,
    mean: MeanMap,
    mask: np.ndarray,
) -> Array | None:
    """Components from the user's maps, coordinates (`.cs`) and maps of states, if any."""
    grid = operators.grid
    tables = [path for path in options["components"] if Path(path).suffix in (".cs", ".csg")]
    maps = [path for path in options["components"] if path not in tables]

    def read(paths: list[str]) -> np.ndarray:
        return np.stack([resample(read_volume(path)[0], grid.box_size) for path in paths])

    values = slicing_values(jnp.asarray(mean.volume * mean.solvent_mask), grid)
    found = [components_from_maps(read(maps), mask, grid)] if maps else []
    for path in tables:
        coordinates = read_coordinates(path, table.identity)
        found.append(components_from_coordinates(operators, values, coordinates, mask))
    if options["states"]:
        found.append(components_from_states(read(options["states"]), mask, grid))
    return jnp.concatenate(found) if found else None


def pose_derivatives(prepare: Path, evidence: dict[str, Any], particles: Particles):
    """First derivatives of the mean map by pose, at the width that the evidence chose, if any."""
    found = evidence["pose_error"]
    if found is None:
        return None
    width = PoseError(found["rotation_degrees"], found["shift_angstrom"])
    mean, mask = (read_volume(prepare / f"{name}.mrc")[0] for name in ("mean_map", "solvent_mask"))
    return nuisance_coefficients(mean, mask, particles.grid, particles.voxel_size, width)


def write_optimum(
    folder: Path,
    table: ParticleSet,
    posteriors: np.ndarray,
    maps: np.ndarray,
    voxel_size: float,
    metrics: dict[str, Any],
    suffixes: list[str],
) -> None:
    """Labels, posteriors, maps and, last, metrics.json of an optimum as a run."""
    write_labels(folder, table, posteriors.argmax(1), posteriors, suffixes)
    for number, volume in enumerate(maps, 1):
        write_volume(folder / f"class_{number:03d}.mrc", volume, voxel_size)
    write_json(folder / "metrics.json", {"run": folder.name} | metrics)
