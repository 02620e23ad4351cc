"""Consensus of many seeded classifications of cryo-EM particles.

import emjax

particles = emjax.read_particles("particles.star")
prepared = emjax.prepare(particles, filter_resolution=24)
runs = emjax.classify_em3d(prepared, n_classes=[3, 4], seeds=5)
found = emjax.build_consensus(runs)
emjax.write_classes("classes.star", particles, found)
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emjax.api import (
        build_consensus,
        classify_em3d,
        classify_som,
        classify_subspace,
        fit_variability,
        prepare,
        reconstruct,
        write_classes,
    )
    from emjax.classify.classification import Classification
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.outliers import OutlierOptions
    from emjax.classify.pose_error import PoseError
    from emjax.classify.som.kerdensom import SomOptions
    from emjax.classify.subspace.recipes import SubspaceOptions
    from emjax.consensus.options import ConsensusOptions
    from emjax.errors import InputError
    from emjax.imaging.prepare import PrepareOptions
    from emjax.io.mrc.volume import read_volume, write_volume
    from emjax.io.particles.particle_set import read_particles

__version__ = version("emjax")

# Where each public name lives: it is loaded when it is first asked for, JAX with it where needed.
_HOMES = {
    "read_particles": "emjax.io.particles.particle_set",
    "read_volume": "emjax.io.mrc.volume",
    "write_volume": "emjax.io.mrc.volume",
    "prepare": "emjax.api",
    "classify_em3d": "emjax.api",
    "classify_subspace": "emjax.api",
    "classify_som": "emjax.api",
    "fit_variability": "emjax.api",
    "build_consensus": "emjax.api",
    "reconstruct": "emjax.api",
    "write_classes": "emjax.api",
    "PrepareOptions": "emjax.imaging.prepare",
    "Em3dOptions": "emjax.classify.em3d.options",
    "OutlierOptions": "emjax.classify.outliers",
    "PoseError": "emjax.classify.pose_error",
    "SubspaceOptions": "emjax.classify.subspace.recipes",
    "SomOptions": "emjax.classify.som.kerdensom",
    "ConsensusOptions": "emjax.consensus.options",
    "Classification": "emjax.classify.classification",
    "InputError": "emjax.errors",
}

__all__ = [
    "Classification",
    "ConsensusOptions",
    "Em3dOptions",
    "InputError",
    "OutlierOptions",
    "PoseError",
    "PrepareOptions",
    "SomOptions",
    "SubspaceOptions",
    "__version__",
    "build_consensus",
    "classify_em3d",
    "classify_som",
    "classify_subspace",
    "fit_variability",
    "prepare",
    "read_particles",
    "read_volume",
    "reconstruct",
    "write_classes",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    """A public name, from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'emjax' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
