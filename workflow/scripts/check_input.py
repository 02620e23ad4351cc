"""Read all input once and say in one line what is wrong, before anything is computed."""

import hashlib
from pathlib import Path

import numpy as np
from _job import job, not_there

from emjax.errors import InputError
from emjax.io.files import read_json, write_json
from emjax.io.labels.join import join_labels
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles
from emjax.io.particles.plausible import check_mask, check_particles, doubts, doubts_of_mask

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
    from emjax.classify.operators.passes import lowest_frequency
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
