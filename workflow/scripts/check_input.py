"""Read all input once and say in one line what is wrong, before anything is computed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _job import job, not_there

from emjax.errors import InputError
from emjax.io.atomic import read_json, write_json
from emjax.io.join import join_labels
from emjax.io.particles import ParticleSet, read_particles
from emjax.io.relion import StarParticles
from emjax.io.volume import read_volume

FEWEST = 20  # particles; held-out evidence makes half-sets of half-sets
LEAST_DEFOCUS = 100  # Å


def check_particles(source: Path, particles: ParticleSet) -> None:
    """Refuse what reads well and cannot be meant."""
    if particles.n < FEWEST:
        raise InputError(source, None, f"{particles.n} particles", f"at least {FEWEST}")
    largest = float(np.abs([particles.defocus_u, particles.defocus_v]).max())
    if 0 < largest < LEAST_DEFOCUS:
        found = f"at most {largest:g}"
        raise InputError(source, "defocus", found, "values in Å, 10000 for a defocus of 1 µm")


def doubts(source: Path, particles: ParticleSet, runs: dict) -> Iterator[str]:
    """What may be meant, and more often is a mistake."""
    table = particles.source
    origins = ("rlnOriginXAngst", "rlnOriginX")
    if isinstance(table, StarParticles) and not any(name in table.particles for name in origins):
        yield f"{source}: no column _rlnOriginXAngst; the images are taken as centred (shifts of 0)"
    if runs["som"] and (runs["em3d"] or runs["subspace"]):
        yield (
            "runs.som sorts images, by view as well as by state, and says nothing about 3D classes"
            " unless all views are the same; give it a campaign of its own"
        )


def check_mask(path: str, mask: np.ndarray) -> None:
    """Refuse a map that is no mask; resampling may leave values a little beyond 0 and 1."""
    low, high = float(mask.min()), float(mask.max())
    if high < 0.5:
        raise InputError(path, None, "no voxel above 0.5", "a mask that is 1 inside")
    if low < -0.1 or high > 1.1:
        raise InputError(path, None, f"values from {low:.3g} to {high:.3g}", "a mask from 0 to 1")


def doubts_of_mask(path: str, voxel_size: float, pixel_size: float) -> Iterator[str]:
    """A voxel size other than the particles'; 0 or 1 Å is what programs write that do not know."""
    if voxel_size > 0 and abs(voxel_size - 1) > 1e-6 and abs(voxel_size / pixel_size - 1) > 0.01:
        yield (
            f"{path}: voxels of {voxel_size:g} Å by its header, particles of {pixel_size:g} Å;"
            " it is taken to be on the particles' grid"
        )


with job(snakemake) as work:
    config = snakemake.config
    source, runs = Path(config["particles"]), config["runs"]
    if not source.exists():
        raise InputError("config", "particles", not_there(source), "a particle file")
    particles = read_particles(
        source, config["image_root"], on_mixed_optics=config["on_mixed_optics"]
    )

    maps = [(f"masks.{name}", config["masks"][name]) for name in ("solvent", "focus")]
    em3d = runs["em3d"] or {"n_classes": [], "initial_maps": []}
    maps += [("runs.em3d.initial_maps", path) for path in em3d["initial_maps"]]
    for option, path in maps:
        if path not in (None, "auto"):
            if not Path(path).exists():
                raise InputError("config", option, not_there(path), "a map file")
            volume, voxel_size = read_volume(path, particles.box_size)
            if option.startswith("masks"):
                check_mask(path, volume)
                for doubt in doubts_of_mask(path, voxel_size, particles.pixel_size):
                    work.say(f"warning: {doubt}")
    starts = [read_volume(path)[0] for path in em3d["initial_maps"]]
    if len(starts) > 1 and all(np.array_equal(starts[0], other) for other in starts[1:]):
        raise InputError("config", "runs.em3d.initial_maps", "identical maps", "maps that differ")
    check_particles(source, particles)
    for doubt in doubts(source, particles, runs):
        work.say(f"warning: {doubt}")
    for k in em3d["n_classes"]:
        if k > particles.n:
            raise InputError("config", "runs.em3d.n_classes", k, f"at most {particles.n} particles")
        if em3d["initial_maps"] and len(em3d["initial_maps"]) != k:
            found = f"{len(em3d['initial_maps'])} maps for {k} classes"
            raise InputError("config", "runs.em3d.initial_maps", found, "one map a class")
    if runs["som"] and np.prod(runs["som"]["map"]) > particles.n:
        found = f"{' x '.join(map(str, runs['som']['map']))} nodes"
        raise InputError("config", "runs.som.map", found, f"at most {particles.n} (particles)")
    for run in runs["external"]:
        if not Path(run["path"]).exists():
            option = f"runs.external {run['name']}"
            raise InputError("config", option, not_there(run["path"]), "a file")
        mismatch = config["consensus"]["on_mismatch"]
        join_labels(particles, run["path"], run["key"], run["class_column"], mismatch)

    # Cropping needs JAX, which reading does without.
    from emjax.classify.em3d.coarse import start_radius
    from emjax.classify.engine.passes import lowest_frequency
    from emjax.imaging.crop import filter_radius
    from emjax.imaging.grids import cropped_box_size

    radius = filter_radius(particles.box_size, particles.pixel_size, config["filter_resolution"])
    if options := runs["em3d"]:
        extent = particles.box_size * particles.pixel_size
        lowest = lowest_frequency(options["highpass_resolution"], extent, radius)
        start_radius(options["start_resolution"], extent, radius, lowest)
    cropped = cropped_box_size(radius)
    facts = {
        "n_particles": particles.n,
        "box_size": particles.box_size,
        "pixel_size": particles.pixel_size,
        "filter_resolution": config["filter_resolution"],
        "radius": radius,
        "cropped_box_size": cropped,
        "voxel_size": particles.box_size * particles.pixel_size / cropped,
        "half_sets_given": int((particles.half > 0).sum()),
        "optics_groups": len(set(particles.optics_group.tolist())),
        "particles": str(source),
        "checksum": hashlib.sha256(Path(particles.source.file).read_bytes()).hexdigest(),
        "emjax_version": snakemake.params.emjax,
    }
    write_json(snakemake.output[0], facts)
    record = Path(snakemake.output[0]).parent.parent / "campaign.json"
    if record.exists() and read_json(record)["input_checksum"] != facts["checksum"]:
        work.say(f"warning: {source} has changed since {record} was written; all is run again")
    work.say(
        f"{particles.n} particles of {particles.box_size} px at {particles.pixel_size:g} Å;"
        f" class maps of {cropped} voxels at {facts['voxel_size']:.2f} Å"
    )
