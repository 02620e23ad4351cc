"""Whitened, cropped images, mean map with half-maps, solvent mask, noise and per-particle scale."""

from pathlib import Path

import numpy as np

from emjax.campaign.job import job
from emjax.imaging.crop import crop_images, grid_for
from emjax.imaging.fsc import resolution_at
from emjax.imaging.masks import resample_mask
from emjax.imaging.particles import cropped_particles, split_halves
from emjax.imaging.prepare import estimate
from emjax.io.files import atomic_memmap, write_half_precision, write_tsv
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.jobs.prepared import ctf_of, groups_of, noise_table, read_scale

with job(snakemake) as work:
    params, output = snakemake.params, snakemake.output
    table = read_particles(
        snakemake.config["particles"],
        params.image_root,
        on_mixed_optics=params.on_mixed_optics,
    )
    box, pixel = table.box_size, table.pixel_size
    grid = grid_for(box, pixel, params.filter_resolution)
    half = split_halves(table.half, table.image, params.split_seed)
    solvent = params.masks["solvent"]
    own_mask = None if solvent == "auto" else read_volume(solvent, box)[0]

    shape = (table.n, int(grid.kx.shape[0]))
    narrow = params.image_precision == "float16"
    full = Path(output.images).with_name("images_full.npy") if narrow else Path(output.images)
    with atomic_memmap(full, np.complex64, shape) as images:
        power = crop_images(
            ImageStacks(table).read,
            table.shifts,
            groups_of(table),
            pixel,
            grid,
            images,
            work.progress,
        )
        cropped = cropped_particles(
            images,
            table.rotations,
            ctf_of(table),
            half,
            groups_of(table),
            box,
            pixel,
            grid.radius,
            read_scale(table) if params.scale == "input" else None,
        )
        prepared, mean = estimate(
            cropped,
            power,
            None if own_mask is None else resample_mask(own_mask, grid.box_size),
            params.scale,
            {name: params.masks[name] for name in ("threshold", "near", "far")},
            point_group=params.symmetry,
            static_noise=params.static_noise,
        )

    if narrow:
        write_half_precision(output.images, np.load(full, mmap_mode="r", allow_pickle=False))
        full.unlink()

    # Beyond the filter resolution the images' own power stands for the noise.
    power[:, : prepared.noise_power.shape[1]] = prepared.noise_power[:, : power.shape[1]]
    groups = np.unique(table.optics_group)
    write_tsv(output.noise, noise_table(power, groups, prepared.extent, mean.fsc))
    write_volume(output.mean_map, mean.volume, prepared.voxel_size)
    write_volume(output.solvent_mask, mean.solvent_mask, prepared.voxel_size)
    for path, volume in zip(output.half_maps, mean.half_maps, strict=True):
        write_volume(path, volume, prepared.voxel_size)
    columns = {"rlnRandomSubset": half, "emjaxScale": prepared.scale}
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
