"""The campaign's particles, read as its options say."""

from pathlib import Path
from typing import Any

from emjax.io.particles.particle_set import ParticleSet, read_particles


def input_particles(config: dict[str, Any]) -> ParticleSet:
    """The particles with their images' places; poses and CTF as far as the runs need them.

    Args:
        config: with every default filled in.

    Raises:
        InputError: for the first thing wrong with them.
    """
    return read_particles(
        config["particles"],
        config["image_root"],
        require_poses=in_3d(config),
        require_ctf=needs_ctf(config),
        on_mixed_optics=config["on_mixed_optics"],
        ctf_in_images=config["ctf_in_images"],
        pixel_size_of=config["check"]["pixel_size"],
    )


def needs_ctf(config: dict[str, Any]) -> bool:
    """Whether particles without CTF are of no use."""
    som = config["runs"]["som"] or {}
    # A translation would have to invent the CTF.
    translated = Path(config["particles"]).suffix in (".cs", ".csg")
    return in_3d(config) or som.get("ctf") != "none" or translated


def in_3d(config: dict[str, Any]) -> bool:
    """Whether anything but maps of images is asked for."""
    return not config["runs"]["som"] or any(
        options for name, options in config["runs"].items() if name != "som"
    )
