"""The files by which every run joins the consensus: its labels and posteriors."""

from pathlib import Path

import numpy as np

from emjax.io.files import write_npy
from emjax.io.particles.particle_set import ParticleSet, write_particles


def write_labels(
    folder: Path,
    table: ParticleSet,
    labels: np.ndarray,
    posteriors: np.ndarray,
    suffixes: list[str],
) -> None:
    """Write particles.star (and .cs, by the suffixes) and posteriors.npy of a run.

    Args:
        folder: of the run.
        table: all particles, in the input's order.
        labels: class of each, 0-based, -1 where it has none; shape (n,).
        posteriors: of each class; shape (n, k).
        suffixes: of the particle files.
    """
    columns = {
        "rlnClassNumber": labels + 1,
        "rlnMaxValueProbDistribution": posteriors.max(1),
    }
    for suffix in suffixes:
        write_particles(folder / f"particles{suffix}", table, columns)
    write_npy(folder / "posteriors.npy", posteriors.astype(np.float32, copy=False))
