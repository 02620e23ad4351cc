"""Noise, scale, half-sets and mask for the reconstruction of given classes."""

from emjax.campaign.input import input_particles
from emjax.campaign.job import job
from emjax.imaging.bad_images import say_bad_images
from emjax.imaging.prepare import prepare
from emjax.io.mrc.volume import read_volume
from emjax.jobs.preparation import aligned_images, images_file, prepare_options
from emjax.jobs.reconstruction import given_classes, write_given_classes

with job(snakemake) as work:
    params, table = snakemake.params, input_particles(snakemake.config)
    given = given_classes(table, params.classes)
    labels = given.labels
    assigned = f"{(labels >= 0).sum()} of {table.n} particles have a class"
    work.say(f"{assigned}, found by {given.joined_on}")
    options, solvent = prepare_options(params), params.masks["solvent"]
    mask = None if solvent == "auto" else read_volume(solvent, table.box_size)[0]
    folder = work.folder.reconstruct
    with images_file(folder, table, options.filter_resolution, "float32") as images:
        aligned = aligned_images(table, params.scale == "input")
        found = prepare(aligned, options, mask, images, work.progress)
    folder.images.unlink()
    write_given_classes(folder, found, table, labels, work.suffixes)
    if bad := found.bad_images:
        work.say(f"{len(bad)} images left out: {say_bad_images(bad, table.image_name)}")
