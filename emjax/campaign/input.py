"""The campaign's particles, read as its options say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emjax.errors import InputError
from emjax.io.particles.columns import has_plane_alignment
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.io.particles.stack import is_stack

SHELLS = 32  # of images of a stand-alone map, where no resolution is given


def input_particles(config: dict[str, Any]) -> ParticleSet:
    """The particles with their images' places; poses and CTF as far as the runs need them.

    Args:
        config: with every default filled in.

    Raises:
        InputError: for the first thing wrong with them.
    """
    alone = config["job"] == "som"
    path, som = Path(config["particles"]), config["runs"]["som"] or {}
    bare = alone and is_stack(path)
    if bare:
        _check_stack(path, som)
    found = read_particles(
        path,
        None if bare else config["image_root"],
        require_poses=in_3d(config),
        require_ctf=needs_ctf(config),
        bare_stack=bare,
        on_mixed_optics=config["on_mixed_optics"],
        ctf_in_images=config["ctf_in_images"],
        pixel_size_of=config["check"]["pixel_size"],
    )
    if not alone:
        return found
    if som["aligned"]:
        return as_they_lie(found)
    if not has_plane_alignment(found.source):
        raise InputError(path, None, "no psi and origins, or alignments2D", _ALIGNED)
    return found


_ALIGNED = (
    "images aligned in 2D; where they are aligned as they lie in their stack, runs.som.aligned:"
    " true (--aligned)"
)


def _check_stack(path: Path, som: dict[str, Any]) -> None:
    """Refuse what a bare stack cannot give."""
    if not som["aligned"]:
        raise InputError(path, None, "a stack, which has no psi and origins", _ALIGNED)
    if som["ctf"] != "none":
        expected = "runs.som.ctf: none (--ctf none), or the .star or .cs file that has it"
        raise InputError(path, None, "a stack, which has no CTF", expected)


def as_they_lie(particles: ParticleSet) -> ParticleSet:
    """Particles whose images need neither rotation nor shift."""
    n = particles.n
    return replace(particles, rotations=np.tile(np.eye(3), (n, 1, 1)), shifts=np.zeros((n, 2)))


def filter_resolution(config: dict[str, Any], particles: ParticleSet) -> float:
    """Å; where a stand-alone map leaves it open, that of 32 shells or of all there are."""
    if config["filter_resolution"] is not None:
        return config["filter_resolution"]
    extent = particles.box_size * particles.pixel_size
    return extent / min(SHELLS, particles.box_size // 2 - 1)


def needs_ctf(config: dict[str, Any]) -> bool:
    """Whether particles without CTF are of no use."""
    som = config["runs"]["som"] or {}
    return in_3d(config) or som.get("ctf") != "none"


def in_3d(config: dict[str, Any]) -> bool:
    """Whether anything but maps of images is asked for."""
    return not config["runs"]["som"] or any(
        options for name, options in config["runs"].items() if name != "som"
    )
