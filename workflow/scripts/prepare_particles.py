"""Whitened, cropped images, mean map with half-maps, solvent mask, noise and per-particle scale."""

from emjax.campaign.input import in_3d, input_particles
from emjax.campaign.job import job
from emjax.classify.outliers import leave_out
from emjax.classify.pose_refinement import refine_poses
from emjax.imaging.prepare import prepare
from emjax.io.mrc.volume import read_volume
from emjax.jobs.optics import doubts_of_optics
from emjax.jobs.preparation import (
    aligned_images,
    describe_preparation,
    doubts_of_preparation,
    images_file,
    outlier_options,
    pose_error_option,
    prepare_options,
    write_prepared,
)

with job(snakemake) as work:
    params, table = snakemake.params, input_particles(snakemake.config)
    options = prepare_options(params)
    solvent = params.masks["solvent"]
    mask = None if solvent == "auto" else read_volume(solvent, table.box_size)[0]
    folder, precision = work.folder.prepare, params.image_precision
    with images_file(folder, table, options.filter_resolution, precision) as images:
        aligned = aligned_images(table, params.scale == "input")
        found = prepare(aligned, options, mask, images, work.progress)
        doubts = list(doubts_of_preparation(found, solvent))
        work.say("looking for particles that fit nothing")
        found, outliers = leave_out(found, outlier_options(params.outliers, table), options)
        work.say("refining the poses")
        option, blocks = pose_error_option(params.pose_error), table.micrograph
        found, poses = refine_poses(found, option, options, blocks)
    if in_3d(snakemake.config):
        doubts += doubts_of_optics(found, table, options)
    write_prepared(folder, found, outliers, poses, table, work.suffixes, doubts)
    for sentence in describe_preparation(folder, found, outliers, poses, table):
        work.say(sentence)
    for doubt in doubts:
        work.say(f"warning: {doubt}")
