"""Whitened, cropped and centred images of a stand-alone map, and their noise."""

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.input import input_particles
from emjax.campaign.job import job
from emjax.imaging.prepare_images import prepare_images
from emjax.jobs.preparation import aligned_images, images_file
from emjax.jobs.som_images import describe_images, write_images

with job(snakemake) as work:
    params, folder = snakemake.params, work.folder.prepare
    table = input_particles(work.config)
    resolution = PreparedFacts.read(folder.facts).filter_resolution
    with images_file(folder, table, resolution, params.image_precision) as images:
        found = prepare_images(
            aligned_images(table),
            resolution,
            params.ctf == "phase_flip",
            params.bad_images,
            images,
            work.progress,
        )
    write_images(folder, found, table, work.suffixes)
    for sentence in describe_images(folder, found, table, params.aligned):
        work.say(sentence)
