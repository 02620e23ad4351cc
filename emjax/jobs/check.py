"""All input read once, before anything is computed: what is wrong in one line, what is doubtful."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.job import not_there
from emjax.campaign.methods import METHODS
from emjax.errors import InputError
from emjax.io.labels.join import join_labels
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.io.particles.plausible import check_mask, check_particles, doubts, doubts_of_mask
from emjax.io.particles.scales import given_scales

Config = dict[str, Any]


def check_campaign(config: Config, say: Callable[[str], None], version: str) -> PreparedFacts:
    """Read everything that a campaign starts from.

    Args:
        config: complete, as `settings.read_config` gives it.
        say: is given one line per doubt.
        version: of emjax, for the record.

    Raises:
        InputError: at the first thing that no campaign can run with.
    """
    source = Path(config["particles"])
    if not source.exists():
        raise InputError("config", "particles", not_there(source), "a particle file")
    particles = read_particles(
        source,
        config["image_root"],
        on_mixed_optics=config["on_mixed_optics"],
        ctf_in_images=config["ctf_in_images"],
    )
    if config["scale"] == "input":
        given_scales(particles)
    _check_masks(config, particles, say)
    _check_starts(config, particles.box_size)
    check_particles(source, particles)
    for doubt in doubts(source, particles, config["runs"]):
        say(f"warning: {doubt}")
    for method in METHODS.values():
        for error in method.check(config, particles.n):
            raise error
    _check_external(config, particles)
    return _facts(config, particles, version)


def _check_masks(config: Config, particles: ParticleSet, say: Callable[[str], None]) -> None:
    for name in ("solvent", "focus"):
        path = config["masks"][name]
        if path in (None, "auto"):
            continue
        if not Path(path).exists():
            raise InputError("config", f"masks.{name}", not_there(path), "a map file")
        mask, voxel_size = read_volume(path, particles.box_size)
        check_mask(path, mask)
        for doubt in doubts_of_mask(path, voxel_size, particles.pixel_size):
            say(f"warning: {doubt}")


def _check_starts(config: Config, box_size: int) -> None:
    for method in METHODS.values():
        maps: dict[str, list[np.ndarray]] = {}
        for option, path in method.starts(config):
            if not Path(path).exists():
                raise InputError("config", option, not_there(path), "a file")
            if Path(path).suffix not in (".cs", ".csg"):
                maps.setdefault(option, []).append(read_volume(path, box_size)[0])
        for option, (first, *others) in maps.items():
            if others and all(np.array_equal(first, other) for other in others):
                raise InputError("config", option, "identical maps", "maps that differ")


def _check_external(config: Config, particles: ParticleSet) -> None:
    for run in config["runs"]["external"]:
        if not Path(run["path"]).exists():
            option = f"runs.external {run['name']}"
            raise InputError("config", option, not_there(run["path"]), "a file")
        mismatch = config["consensus"]["on_mismatch"]
        join_labels(particles, run["path"], run["key"], run["class_column"], mismatch)


def _facts(config: Config, particles: ParticleSet, version: str) -> PreparedFacts:
    # Cropping needs JAX, which reading does without.
    from emjax.classify.em3d.coarse import start_radius
    from emjax.classify.operators.passes import lowest_frequency
    from emjax.imaging.crop import filter_radius
    from emjax.imaging.grids import cropped_box_size

    extent = particles.box_size * particles.pixel_size
    radius = filter_radius(particles.box_size, particles.pixel_size, config["filter_resolution"])
    if options := METHODS["em3d"].options(config):
        lowest = lowest_frequency(options["highpass_resolution"], extent, radius)
        start_radius(options["start_resolution"], extent, radius, lowest)
    cropped = cropped_box_size(radius)
    return PreparedFacts(
        n_particles=particles.n,
        box_size=particles.box_size,
        pixel_size=particles.pixel_size,
        filter_resolution=config["filter_resolution"],
        radius=radius,
        cropped_box_size=cropped,
        voxel_size=extent / cropped,
        half_sets_given=int((particles.half > 0).sum()),
        optics_groups=len(set(particles.optics_group.tolist())),
        particles=str(config["particles"]),
        checksum=hashlib.sha256(Path(particles.source.file).read_bytes()).hexdigest(),
        emjax_version=version,
    )
