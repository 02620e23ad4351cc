"""The map of a KerDenSOM: its nodes, who is whose neighbour, and where they are drawn.

Nodes are numbered row by row: node = y · columns + x. In a hexagonal map odd rows lie half a node
to the right of even ones.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from emjax.errors import OptionError

Layout = Literal["rect", "hexa"]


@dataclass(frozen=True)
class MapGrid:
    """A map of columns × rows nodes, rectangular (4 neighbours) or hexagonal (6)."""

    columns: int
    rows: int
    layout: Layout = "rect"

    def __post_init__(self) -> None:
        """Refuse fewer than two nodes, and an unknown layout."""
        if self.columns < 1 or self.rows < 1 or self.n_nodes < 2:
            raise OptionError("map", f"{self.columns} x {self.rows}", "2 or more nodes")
        if self.layout not in ("rect", "hexa"):
            raise OptionError("layout", self.layout, "rect or hexa")

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.columns * self.rows

    @property
    def coordinates(self) -> Int[np.ndarray, "c 2"]:
        """Row and column of each node."""
        return np.stack(np.divmod(np.arange(self.n_nodes), self.columns), axis=1)

    @property
    def positions(self) -> Float[np.ndarray, "c 2"]:
        """Where each node is drawn: y (down) and x, neighbours at distance 1."""
        y, x = self.coordinates.T.astype(float)
        if self.layout == "hexa":
            x, y = x + 0.5 * (y % 2), y * np.sqrt(0.75)
        return np.stack([y, x], axis=1)

    @property
    def adjacency(self) -> Bool[np.ndarray, "c c"]:
        """True where two nodes are neighbours."""
        distance = np.linalg.norm(self.positions[:, None] - self.positions, axis=-1)
        return np.abs(distance - 1) < 1e-6

    @property
    def laplacian(self) -> Float[np.ndarray, "c c"]:
        """Graph Laplacian over the neighbours of an inner node (4 or 6); tr VᵀLV is the penalty."""
        adjacency = self.adjacency.astype(float)
        full = 4 if self.layout == "rect" else 6
        return (np.diag(adjacency.sum(1)) - adjacency) / full
