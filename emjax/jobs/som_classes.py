"""The maps of all seeds of a stand-alone job compared, and the best one as a 2D class set."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder
from emjax.classify.som.agreement import map_agreement
from emjax.classify.som.grid import MapGrid
from emjax.classify.som.images import class_averages
from emjax.imaging.inplane import upright_images
from emjax.imaging.particles import CHUNK, chunks
from emjax.io.export.class2d import (
    ClassSet,
    write_averages,
    write_class_particles,
    write_templates,
)
from emjax.io.files import open_npy, read_json, write_json, write_tsv
from emjax.jobs.prepared import Prepared, read_unchecked
from emjax.jobs.som import as_aligned

OF_PAIR = ["run", "other", "adjusted_rand_index", "distance_correlation"]
OF_SEED = ("seed", "quantisation_error", "topographic_error", "empty_nodes", "iterations")


def write_som_classes(
    folder: CampaignFolder,
    prepared: Prepared,
    runs: list[str],
    options: dict[str, Any],
    suffixes: tuple[str, ...],
) -> str:
    """Write what `classes/` holds; the map with the least quantisation error makes the classes.

    Args:
        folder: of the job.
        prepared: its images.
        runs: a map of each seed.
        options: of the maps.
        suffixes: of particle files.

    Returns:
        The run that was chosen.
    """
    (columns, rows), target = options["map"], folder.classes
    grid = MapGrid(columns, rows, options["layout"])
    metrics = {run: read_json(folder.run(run).metrics) for run in runs}
    table = pd.DataFrame([{"run": r} | {k: m[k] for k in OF_SEED} for r, m in metrics.items()])
    table["converged"] = [bool(m["converged"]) for m in metrics.values()]
    chosen = min(runs, key=lambda run: metrics[run]["quantisation_error"])
    posteriors = {run: open_npy(folder.run(run).posteriors)[prepared.rows] for run in runs}
    labels = {run: posterior.argmax(1) for run, posterior in posteriors.items()}
    pairs = [(a, b, *map_agreement(labels[a], labels[b], grid)) for a, b in combinations(runs, 2)]
    found = ClassSet(
        prepared.for_everyone(labels[chosen], -1.0),
        prepared.for_everyone(posteriors[chosen].max(1), 0.0),
        natural_averages(prepared, options, labels[chosen], grid.n_nodes),
        prepared.particles.voxel_size,
        prepared.particles.extent / prepared.particles.radius,
    )
    sources = prepared.folder.particles.all(suffixes)
    for path, source in zip(target.particles.all(suffixes), sources, strict=True):
        write_class_particles(path, read_unchecked(source), found)
    write_averages(target.averages, target.model, target.optimiser, target.particles.star, found)
    write_templates(target.templates, target.averages, found)
    write_tsv(target.agreement, pd.DataFrame(pairs, columns=OF_PAIR))
    write_tsv(target.seeds, table)
    write_json(target.summary, {"chosen": chosen, "n_particles": int(prepared.particles.n)})
    return chosen


def natural_averages(
    prepared: Prepared, options: dict[str, Any], labels: np.ndarray, n_nodes: int
) -> np.ndarray:
    """Class averages on the intensity scale of the input, not whitened."""
    particles = as_aligned(prepared.particles, options)
    # Of transforms on the cropped box.
    scale = (particles.box_size / particles.stack_box_size) ** 2
    filters = scale * np.sqrt(particles.noise_power / 2)
    flip = options["ctf"] == "phase_flip"
    blocks = (
        upright_images(particles.subset(rows), flip, filters) for rows in chunks(particles.n, CHUNK)
    )
    return class_averages(blocks, labels, n_nodes)
