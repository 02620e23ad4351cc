"""Whitened, cropped images, mean map with half-maps, solvent mask, noise and per-particle scale."""

from pathlib import Path

import numpy as np

from emjax.campaign.job import job
from emjax.imaging.crop import grid_for
from emjax.imaging.prepare import AlignedImages, PrepareOptions, prepare
from emjax.io.files import atomic_memmap, write_half_precision, write_tsv
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.jobs.prepared import ctf_of, groups_of, noise_table, read_scale
from emjax.resolution import resolution_at

with job(snakemake) as work:
    params, output = snakemake.params, snakemake.output
    table = read_particles(
        snakemake.config["particles"],
        params.image_root,
        on_mixed_optics=params.on_mixed_optics,
    )
    solvent = params.masks["solvent"]
    own_mask = None if solvent == "auto" else read_volume(solvent, table.box_size)[0]
    options = PrepareOptions(
        params.filter_resolution,
        params.scale,
        params.static_noise,
        params.symmetry,
        **{name: params.masks[name] for name in ("threshold", "near", "far")},
        split_seed=params.split_seed,
    )
    aligned = AlignedImages(
        ImageStacks(table).read,
        table.rotations,
        table.shifts,
        ctf_of(table),
        table.box_size,
        table.pixel_size,
        groups_of(table),
        table.half,
        table.image,
        read_scale(table) if params.scale == "input" else None,
    )
    grid = grid_for(table.box_size, table.pixel_size, params.filter_resolution)
    shape = (table.n, len(grid.kx))
    narrow = params.image_precision == "float16"
    full = Path(output.images).with_name("images_full.npy") if narrow else Path(output.images)
    with atomic_memmap(full, np.complex64, shape) as images:
        found = prepare(aligned, options, own_mask, images, work.progress)
    prepared, mean = found.particles, found.mean

    if narrow:
        write_half_precision(output.images, np.load(full, mmap_mode="r", allow_pickle=False))
        full.unlink()

    groups = np.unique(table.optics_group)
    write_tsv(output.noise, noise_table(found.noise_power, groups, prepared.extent, mean.fsc))
    write_volume(output.mean_map, mean.volume, prepared.voxel_size)
    write_volume(output.solvent_mask, mean.solvent_mask, prepared.voxel_size)
    for path, volume in zip(output.half_maps, mean.half_maps, strict=True):
        write_volume(path, volume, prepared.voxel_size)
    columns = {"rlnRandomSubset": prepared.half, "emjaxScale": prepared.scale}
    for path in map(
        Path, output.particles if isinstance(output.particles, list) else [output.particles]
    ):
        write_particles(path, table, columns)
    if missing := int((table.half == 0).sum()):
        work.say(
            f"half-sets of {missing} particles drawn at random (split_seed {params.split_seed}):"
            " their file has no random subset; the exports carry them"
        )
    work.say(f"mean map at {resolution_at(mean.fsc, prepared.extent):.1f} Å")
