"""A 2D class set for RELION and CryoSPARC: particles with their classes, and the averages.

RELION's subset selection opens the optimiser file; `emjax rebalance` the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emjax.io.cryosparc.tables import write_cs
from emjax.io.fields import SET_ASIDE, label
from emjax.io.mrc.volume import write_stack
from emjax.io.particles.columns import make_records, replace_fields, with_cs_columns
from emjax.io.particles.particle_set import ParticleSet, cryosparc_source, write_particles
from emjax.io.star.lists import write_lists


@dataclass(frozen=True)
class ClassSet:
    """Classes of particles, with their averages.

    Attributes:
        labels: class of each particle, 0-based, -1 has none.
        posterior: of that class.
        averages: one per class, of an empty one zero.
        pixel_size: Å, of the averages.
        resolution: Å, where they are filtered.
    """

    labels: np.ndarray
    posterior: np.ndarray
    averages: np.ndarray
    pixel_size: float
    resolution: float

    @property
    def sizes(self) -> np.ndarray:
        """Particles of each class."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.averages))

    @property
    def shares(self) -> np.ndarray:
        """Of the particles that have a class, those in each."""
        return self.sizes / max(self.sizes.sum(), 1)


def write_class_particles(path: Path, particles: ParticleSet, found: ClassSet) -> None:
    """Write the particles with their classes, in the fields where 2D jobs have them."""
    columns = {
        label("class_number"): found.labels + 1,
        label("posterior"): np.where(found.labels >= 0, found.posterior, 0),
        SET_ASIDE: np.where(found.labels >= 0, "none", "image"),
    }
    if path.suffix != ".cs":
        write_particles(path, particles, columns)
        return
    records = with_cs_columns(cryosparc_source(particles), columns)
    aligned = {
        "alignments2D/class": np.maximum(found.labels, 0).astype("<u4"),
        "alignments2D/class_posterior": columns[label("posterior")].astype("<f4"),
    }
    write_cs(path, replace_fields(records, aligned))


def write_averages(stack: Path, model: Path, optimiser: Path, data: Path, found: ClassSet) -> None:
    """Write the averages as the model of a Class2D job, with the file that names its parts."""
    n, box_size = found.averages.shape[:2]
    write_stack(stack, found.averages, found.pixel_size)
    general = {
        "rlnReferenceDimensionality": 2,
        "rlnDataDimensionality": 2,
        "rlnOriginalImageSize": box_size,
        "rlnCurrentImageSize": box_size,
        "rlnCurrentResolution": float(found.resolution),
        "rlnPixelSize": float(found.pixel_size),
        "rlnNrClasses": n,
        "rlnNrBodies": 1,
    }
    classes = {
        "rlnReferenceImage": np.array([f"{i + 1:06d}@{stack.as_posix()}" for i in range(n)]),
        "rlnClassDistribution": found.shares,
        "rlnEstimatedResolution": np.full(n, float(found.resolution)),
    }
    write_lists(model, {"model_general": general, "model_classes": classes})
    names = {
        "rlnOutputRootName": optimiser.as_posix().removesuffix("_optimiser.star"),
        "rlnModelStarFile": model.as_posix(),
        "rlnExperimentalDataStarFile": data.as_posix(),
    }
    write_lists(optimiser, {"optimiser_general": names})


def write_templates(path: Path, stack: Path, found: ClassSet) -> None:
    """List the averages as CryoSPARC lists class averages."""
    n, box_size = found.averages.shape[:2]
    rows = {
        "uid": np.arange(1, n + 1, dtype="<u8"),
        "blob/path": np.full(n, stack.as_posix().encode()),
        "blob/idx": np.arange(n, dtype="<u4"),
        "blob/shape": np.full((n, 2), box_size, "<u4"),
        "blob/psize_A": np.full(n, found.pixel_size, "<f4"),
        "blob/sign": np.ones(n, "<f4"),
        "blob/res_A": np.full(n, found.resolution, "<f4"),
        "blob/count": found.sizes.astype("<u4"),
    }
    write_cs(path, make_records(rows))
