"""How good a map is: errors, empty nodes, U-matrix, averages of a property over the nodes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from emjax.classify.som.grid import MapGrid


@dataclass(frozen=True)
class MapQuality:
    """Quality of one map.

    Attributes:
        quantisation_error: mean distance of a vector to its nearest code vector.
        topographic_error: share of vectors whose two nearest nodes are not neighbours.
        empty_nodes: nodes that no vector is assigned to.
    """

    quantisation_error: float
    topographic_error: float
    empty_nodes: int


def map_quality(
    data: Float[np.ndarray, "n p"],
    code_vectors: Float[np.ndarray, "c p"],
    grid: MapGrid,
    rows_per_block: int = 16384,
) -> MapQuality:
    """Quantisation and topographic error, and the number of empty nodes.

    Source: Kiviluoto, Proc. IEEE Int. Conf. Neural Networks (1996) 294.
    """
    adjacency = grid.adjacency
    distance, wrong = 0.0, 0
    population = np.zeros(grid.n_nodes, int)
    norm = np.sum(code_vectors**2, axis=1)
    for start in range(0, len(data), rows_per_block):
        block = data[start : start + rows_per_block]
        squared = norm - 2 * block @ code_vectors.T
        nearest, second = np.argpartition(squared, (0, 1), axis=1)[:, :2].T
        own = squared[np.arange(len(block)), nearest] + np.sum(block**2, axis=1)
        distance += float(np.sum(np.sqrt(np.maximum(own, 0)), dtype=np.float64))
        wrong += int(np.sum(~adjacency[nearest, second]))
        population += np.bincount(nearest, minlength=grid.n_nodes)
    return MapQuality(distance / len(data), wrong / len(data), int(np.sum(population == 0)))


def u_matrix(
    code_vectors: Float[np.ndarray, "c p"], grid: MapGrid
) -> Float[np.ndarray, "rows columns"]:
    """Mean distance of each node's code vector to those of its neighbours."""
    adjacency = grid.adjacency
    norm = np.sum(code_vectors**2, axis=1)
    squared = norm[:, None] + norm - 2 * code_vectors @ code_vectors.T
    distance = np.sqrt(np.maximum(squared, 0)) * adjacency
    mean = distance.sum(1) / np.maximum(adjacency.sum(1), 1)
    return mean.reshape(grid.rows, grid.columns)


def property_map(
    values: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"], grid: MapGrid
) -> Float[np.ndarray, "rows columns"]:
    """Mean of a property of the particles over each node; nan where the node is empty."""
    assigned = labels >= 0
    count = np.bincount(labels[assigned], minlength=grid.n_nodes)
    total = np.bincount(labels[assigned], weights=values[assigned], minlength=grid.n_nodes)
    mean = np.divide(total, count, out=np.full(grid.n_nodes, np.nan), where=count > 0)
    return mean.reshape(grid.rows, grid.columns)


def node_table(
    code_vectors: Float[np.ndarray, "c p"],
    posteriors: Float[np.ndarray, "n c"],
    grid: MapGrid,
    properties: Mapping[str, Float[np.ndarray, " n"]],
) -> dict[str, np.ndarray]:
    """One row per node: place, particles, distance to the neighbours, mean properties."""
    labels = np.argmax(posteriors, axis=1)
    rows, columns = grid.coordinates.T
    y, x = grid.positions.T
    means = dict(properties) | {"membership": posteriors.max(1).astype(float)}
    return {
        "node": np.arange(grid.n_nodes) + 1,
        "row": rows,
        "column": columns,
        "x": x,
        "y": y,
        "size": np.bincount(labels, minlength=grid.n_nodes),
        "mass": posteriors.sum(0, dtype=np.float64),
        "neighbour_distance": u_matrix(code_vectors, grid).ravel(),
    } | {f"mean_{k}": property_map(v, labels, grid).ravel() for k, v in means.items()}


def explained_variance(values: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> float:
    """Share of a property's variance that lies between the nodes (its correlation ratio η²)."""
    count = np.bincount(labels)
    total = np.bincount(labels, weights=values)
    mean = total / np.maximum(count, 1)
    residual = np.sum((values - mean[labels]) ** 2)
    return float(1 - residual / np.sum((values - values.mean()) ** 2))
