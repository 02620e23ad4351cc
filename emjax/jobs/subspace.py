"""A subspace campaign: where its basis starts, every seed inside it, the optima it keeps."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array

from emjax.campaign.folder import CampaignFolder, MethodFolder
from emjax.campaign.job import Job
from emjax.campaign.methods.base import seed_list
from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.pose_error import PoseError
from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.mixture import SeededFits, fit_seeds
from emjax.classify.subspace.optima import (
    distinct_optima,
    information,
    seed_array,
    seed_table,
)
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.classify.subspace.runs import Kept, Polishing, full_maps, keep_optima
from emjax.classify.subspace.settle import HeldOut
from emjax.classify.subspace.statistics import Statistics, count_components
from emjax.classify.subspace.volumes import GivenComponents, components_from_states
from emjax.consensus.settle import Images
from emjax.imaging.grids import resample
from emjax.imaging.maps import slicing_values
from emjax.io.cryosparc.coordinates import read_coordinates
from emjax.io.files import open_npy, read_json, write_npy, write_tsv
from emjax.io.mrc.volume import read_volume
from emjax.jobs.prepared import Prepared, read_prepared


def subspace_options(
    options: dict[str, Any], pose_error: str | PoseError, n_components: int | None = None
) -> SubspaceOptions:
    """Options of the analysis from those of the configuration.

    Of poses that were refined, an error is left that only the particles know.
    """
    return SubspaceOptions(
        n_classes=tuple(options["n_classes"]),
        n_components=n_components or options["n_components"],
        iterations=options["iterations"],
        pose_error="off" if pose_error == "off" else "auto",
        regions=options["regions"],
        within_classes=options["within_classes"],
        evidence_seeds=options["evidence_seeds"],
    )


def given_components(paths: list[str], prepared: Prepared) -> GivenComponents | None:
    """The user's components as maps and as coordinates of the particles (`.cs`), if any."""
    tables = [path for path in paths if Path(path).suffix in (".cs", ".csg")]
    maps = [path for path in paths if path not in tables]
    identity = prepared.table.identity
    coordinates = tuple(read_coordinates(path, identity) for path in tables)
    box_size = prepared.particles.box_size
    return GivenComponents(_read(maps, box_size), coordinates) if paths else None


def given_basis(
    options: dict[str, Any], prepared: Prepared, operators: PixelOperators, mask: np.ndarray
) -> Array | None:
    """Where the basis starts: components, and principal differences of maps of states, if any."""
    grid, mean = operators.grid, prepared.mean
    found = []
    if given := given_components(options["components"], prepared):
        values = slicing_values(jnp.asarray(mean.volume * mean.solvent_mask), grid)
        found.append(given.coefficients(operators, values, mask))
    if (states := _read(options["states"], grid.box_size)) is not None:
        found.append(components_from_states(states, mask, grid))
    return jnp.concatenate(found) if found else None


def _read(paths: list[str], box_size: int) -> np.ndarray | None:
    """Maps on the cropped box; None where there are none."""
    return np.stack([resample(read_volume(p)[0], box_size) for p in paths]) if paths else None


def read_basis(folder: MethodFolder) -> tuple[Basis, Statistics]:
    """What `fit_subspace` left."""
    volumes = jnp.asarray(np.load(folder.basis, allow_pickle=False))
    basis = Basis(volumes[0], volumes[1:])
    features = open_npy(folder.statistics)
    return basis, Statistics(features, np.zeros(len(features)), basis.n_components)


def judged_pose_error(folder: MethodFolder) -> PoseError | None:
    """Width of the pose error that the evidence chose; None for exact poses."""
    found = read_json(folder.evidence)["pose_error"]
    return found and PoseError(found["rotation_degrees"], found["shift_angstrom"])


def read_images(folder: CampaignFolder, focus: str | None, max_memory_gb: float) -> Images:
    """What settles and judges classes of all particles.

    Args:
        folder: of the campaign.
        focus: the user's focus mask, if any.
        max_memory_gb: what images may take.
    """
    method = folder.method("subspace")
    evidence, error = read_json(method.evidence), judged_pose_error(method)
    confirmed = evidence["components"]["chosen"]
    prepared = read_prepared(folder.prepare)
    basis, statistics = read_basis(method)
    features = open_npy(method.held_out)
    unseen = Statistics(features, np.zeros(len(features)), count_components(features))
    held_out = HeldOut(unseen, prepared.table.half, confirmed, prepared.blocks)

    def full(rows: np.ndarray) -> Polishing:
        particles, mask = prepared.particles.subset(rows), prepared.mask(focus)
        return full_maps(particles, prepared.mean, mask, 1, error, max_memory_gb)

    cut = bool(evidence["spread"] and evidence["spread"]["continuum"])
    row_of = prepared.for_everyone(np.arange(len(prepared.rows)), -1)
    return Images(basis, statistics, held_out, full, row_of, evidence["discrete_classes"], cut)


class SubspaceSeeds:
    """Every seed and number of classes, and the optima that are kept."""

    def __init__(
        self, work: Job, prepared: Prepared, options: dict[str, Any], focus: str | None
    ) -> None:
        """Reads the basis; runs nothing yet."""
        self._work, self._prepared, self._options, self._focus = work, prepared, options, focus
        self._folder = work.folder.method("subspace")
        self.basis, self.statistics = read_basis(self._folder)
        self._metric = information(self.statistics)
        self._fits: list[SeededFits] = []
        self._tables: list[pd.DataFrame] = []

    def __iter__(self) -> Iterator[Kept]:
        """The kept optima, number by number of classes."""
        for k in self._options["n_classes"]:
            fits = fit_seeds(self.statistics, k, seed_list(self._options["seeds"]))
            optima = distinct_optima(fits, self._metric)
            self._fits.append(fits)
            self._tables.append(pd.DataFrame(seed_table(fits, optima, self.statistics.n)))
            self._work.say(
                f"K = {k}: {len(optima)} optima, the best from {len(optima[0].members)} of"
                f" {len(fits.seeds)} seeds"
            )
            grid, keep = self._prepared.particles.grid, self._options["keep"]
            yield from keep_optima(
                self.basis, self.statistics, fits, optima, keep, grid, self._polishing
            )

    @cached_property
    def _polishing(self) -> Polishing | None:
        iterations = self._options["polish_iterations"]
        if not iterations:
            return None
        particles, memory = self._prepared.particles, self._work.config["max_memory_gb"]
        mask, error = self._prepared.mask(self._focus), judged_pose_error(self._folder)
        return full_maps(particles, self._prepared.mean, mask, iterations, error, memory)

    def write(self, kept: list[Kept], runs: list[str]) -> None:
        """Write what all seeds found, once they have run."""
        rows = [
            {"run": run, "n_classes": k.found.n_classes, "optimum": k.found.facts["optimum"]}
            | {"seed": k.found.seed, "reached_by": k.found.facts["reached_by"]}
            | {"log_likelihood": k.found.log_likelihood}
            for run, k in zip(runs, kept, strict=True)
        ]
        write_npy(self._folder.seeds, seed_array(self._fits))
        labels = np.stack([k.labels for k in kept], 1).astype(np.int16)
        write_npy(self._folder.labels, self._prepared.for_everyone(labels, -1))
        write_tsv(self._folder.likelihood, pd.concat(self._tables))
        write_tsv(self._folder.optima, pd.DataFrame(rows))
