"""Images to classifications: mask, training, and each map in the words of every method."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Float

from emjax.classify.classification import Classification
from emjax.classify.som.images import MaskedPixels, class_averages
from emjax.classify.som.kerdensom import SomOptions, SomRun, train_maps
from emjax.classify.som.quality import explained_variance, node_table
from emjax.imaging.particles import chunks

ROWS = 512  # images averaged at a time


def classify_images(
    images: Float[np.ndarray, "n d d"],
    mask: Float[np.ndarray, "d d"],
    options: SomOptions,
    seeds: Sequence[int],
    properties: Mapping[str, Float[np.ndarray, " n"]] | None = None,
) -> list[Classification]:
    """Train a map per seed on aligned images; its nodes are the classes.

    Args:
        images: aligned in the plane.
        mask: 1 where images are compared.
        options: of the maps.
        seeds: of the starts.
        properties: of each particle; their means over the nodes are listed.

    Raises:
        OptionError: where the options do not fit each other or the images.
    """
    options.check(len(images))
    pixels = MaskedPixels(mask)
    vectors = pixels.vectors(images)
    # Xmipp computes in double precision; its trajectory is not followed without.
    double = options.mode == "xmipp"
    with jax.enable_x64(double):
        vectors = vectors.astype(float) if double else vectors
        maps = train_maps(vectors, options, seeds, pixels.low_pass)
    return [_classification(run, options, images, pixels, properties or {}) for run in maps]


def _classification(
    run: SomRun,
    options: SomOptions,
    images: np.ndarray,
    pixels: MaskedPixels,
    properties: Mapping[str, np.ndarray],
) -> Classification:
    grid, rows = options.grid, [dataclasses.asdict(row) for row in run.table]
    blocks = (images[part] for part in chunks(len(images), ROWS))
    return Classification(
        method="som",
        labels=run.labels,
        posteriors=run.posteriors,
        seed=run.seed,
        images={
            "class_averages": class_averages(blocks, run.labels, grid.n_nodes),
            "code_vectors": pixels.images(run.code_vectors),
        },
        tables={
            "nodes": node_table(run.code_vectors, run.posteriors, grid, properties),
            "convergence": {name: np.array([row[name] for row in rows]) for name in rows[0]},
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
