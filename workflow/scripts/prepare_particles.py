"""Whitened, cropped images, mean map with half-maps, solvent mask, noise and per-particle scale."""

from emjax.campaign.job import job
from emjax.classify.outliers import describe_outliers, leave_out
from emjax.classify.pose_refinement import describe_poses, refine_poses
from emjax.imaging.bad_images import say_bad_images
from emjax.imaging.prepare import prepare
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles
from emjax.jobs.preparation import (
    aligned_images,
    images_file,
    outlier_options,
    pose_error_option,
    prepare_options,
    write_prepared,
)
from emjax.resolution import resolution_at

with job(snakemake) as work:
    params, source = snakemake.params, snakemake.config["particles"]
    mixed = params.on_mixed_optics
    table = read_particles(source, params.image_root, on_mixed_optics=mixed)
    options = prepare_options(params)
    solvent = params.masks["solvent"]
    mask = None if solvent == "auto" else read_volume(solvent, table.box_size)[0]
    folder, precision = work.folder.prepare, params.image_precision
    with images_file(folder, table, options.filter_resolution, precision) as images:
        aligned = aligned_images(table, params.scale == "input")
        found = prepare(aligned, options, mask, images, work.progress)
        work.say("looking for particles that fit nothing")
        found, outliers = leave_out(found, outlier_options(params.outliers), options)
        work.say("refining the poses")
        option, blocks = pose_error_option(params.pose_error), table.micrograph
        found, poses = refine_poses(found, option, options, blocks)
    write_prepared(folder, found, outliers, poses, table, work.suffixes)
    if bad := found.bad_images:
        said = say_bad_images(bad, table.image_name)
        work.say(f"{len(bad)} of {table.n} images left out: {said}; listed in {folder.bad_images}")
    if missing := int((table.half == 0).sum()):
        work.say(
            f"half-sets of {missing} particles drawn at random (split_seed {params.split_seed}):"
            " their file has no random subset; the exports carry them"
        )
    for sentence in [*describe_outliers(outliers), *describe_poses(poses)]:
        work.say(sentence)
    resolution = resolution_at(found.mean.fsc, found.particles.extent)
    work.say(f"mean map at {resolution:.1f} Å")
