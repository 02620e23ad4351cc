"""All input read once, before anything is computed: what is wrong in one line, what is doubtful."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emjax.campaign.environment import check_jax_flags
from emjax.campaign.facts import PreparedFacts
from emjax.campaign.input import filter_resolution, in_3d, input_particles, needs_ctf
from emjax.campaign.job import not_there
from emjax.campaign.methods import METHODS
from emjax.errors import InputError
from emjax.io.labels.join import join_labels
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.particles.plausible import (
    check_mask,
    check_particles,
    check_solvent_mask,
    doubts,
    doubts_of_mask,
    doubts_of_voxels,
)
from emjax.io.particles.scales import given_scales
from emjax.jobs.reconstruction import given_classes
from emjax.jobs.views import check_views, doubts_of_views

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
    check_jax_flags()
    found: list[str] = []
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always", UserWarning)
        particles = input_particles(config)
        if config["scale"] == "input":
            given_scales(particles)
        check_particles(source, particles, needs_ctf(config))
        if config["job"] == "reconstruct":
            given_classes(particles, config["reconstruct"])
        found.extend(_check_masks(config, particles))
        found.extend(_check_starts(config, particles))
        found.extend(doubts(source, particles, config["runs"]))
        for method in METHODS.values():
            for error in method.check(config, particles.n):
                raise error
        _check_external(config, particles)
        resolution = filter_resolution(config, particles)
        radius = _radius(config, particles, resolution)
        if in_3d(config):
            check_views(source, particles)
            symmetry = config["symmetry"]
            found.extend(doubts_of_views(source, particles, radius, symmetry, resolution))
    found = list(dict.fromkeys([*(str(warning.message) for warning in shown), *found]))
    for doubt in found:
        say(f"warning: {doubt}")
    return _facts(config, particles, (resolution, radius), version, found)


def _check_masks(config: Config, particles: ParticleSet) -> Iterator[str]:
    for name in ("solvent", "focus"):
        path = config["masks"][name]
        if path in (None, "auto"):
            continue
        if not Path(path).exists():
            raise InputError("config", f"masks.{name}", not_there(path), "a map file")
        mask, voxel_size = read_volume(path, particles.box_size)
        check_mask(path, mask)
        # Those of the focus mask change with it, while this check is not repeated.
        if name == "focus":
            continue
        check_solvent_mask(path, mask)
        yield from doubts_of_mask(path, mask)
        yield from doubts_of_voxels(path, voxel_size, particles.pixel_size)


def _check_starts(config: Config, particles: ParticleSet) -> Iterator[str]:
    for method in METHODS.values():
        first: dict[str, np.ndarray] = {}
        number, alike = Counter[str](), Counter[str]()
        for option, path in method.starts(config):
            if not Path(path).exists():
                raise InputError("config", option, not_there(path), "a file")
            if Path(path).suffix not in (".cs", ".csg"):
                volume, voxel_size = read_volume(path, particles.box_size)
                yield from doubts_of_voxels(path, voxel_size, particles.pixel_size)
                if np.ptp(volume) == 0:
                    raise InputError(path, None, "one density everywhere", "a map of the particle")
                number[option] += 1
                alike[option] += np.array_equal(first.setdefault(option, volume), volume)
        for option, count in number.items():
            if count > 1 and alike[option] == count:
                raise InputError("config", option, "identical maps", "maps that differ")


def _check_external(config: Config, particles: ParticleSet) -> None:
    for run in config["runs"]["external"]:
        if not Path(run["path"]).exists():
            option = f"runs.external {run['name']}"
            raise InputError("config", option, not_there(run["path"]), "a file")
        mismatch = config["consensus"]["on_mismatch"]
        join_labels(particles, run["path"], run["key"], run["class_column"], mismatch)


def _radius(config: Config, particles: ParticleSet, resolution: float) -> int:
    """Fourier pixels up to the filter resolution."""
    # Cropping needs JAX, which reading does without.
    from emjax.classify.em3d.coarse import start_radius
    from emjax.classify.operators.passes import lowest_frequency
    from emjax.imaging.crop import filter_radius

    extent = particles.box_size * particles.pixel_size
    radius = filter_radius(particles.box_size, particles.pixel_size, resolution)
    if options := METHODS["em3d"].options(config):
        lowest = lowest_frequency(options["highpass_resolution"], extent, radius)
        start_radius(options["start_resolution"], extent, radius, lowest)
    return radius


def _checksum(file: str) -> str:
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _facts(
    config: Config,
    particles: ParticleSet,
    kept: tuple[float, int],
    version: str,
    found: list[str],
) -> PreparedFacts:
    from emjax.imaging.grids import cropped_box_size

    resolution, radius = kept
    extent = particles.box_size * particles.pixel_size
    cropped = cropped_box_size(radius)
    return PreparedFacts(
        n_particles=particles.n,
        box_size=particles.box_size,
        pixel_size=particles.pixel_size,
        filter_resolution=resolution,
        radius=radius,
        cropped_box_size=cropped,
        voxel_size=extent / cropped,
        half_sets_given=int((particles.half > 0).sum()),
        optics_groups=len(set(particles.optics_group.tolist())),
        particles=str(config["particles"]),
        checksum=_checksum(particles.source.file),
        emjax_version=version,
        doubts=found,
    )
