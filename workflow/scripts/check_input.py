"""Read all input once and say in one line what is wrong, before anything is computed."""

from emjax.campaign.job import job
from emjax.io.files import read_json
from emjax.jobs.check import check_campaign

with job(snakemake) as work:
    facts = check_campaign(snakemake.config, work.say, snakemake.params.emjax)
    facts.write(snakemake.output[0])
    record = work.folder.record
    if record.exists() and read_json(record)["input_checksum"] != facts.checksum:
        work.say(f"warning: {facts.particles} has changed since {record} was written; all is rerun")
    work.say(
        f"{facts.n_particles} particles of {facts.box_size} px at {facts.pixel_size:g} Å;"
        f" {'images' if work.config['job'] == 'som' else 'class maps'} of"
        f" {facts.cropped_box_size} px at {facts.voxel_size:.2f} Å"
    )
