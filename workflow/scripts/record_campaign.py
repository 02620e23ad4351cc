"""What a campaign was: options, versions, checksums, seeds, devices, and where the time went."""

from emjax.campaign.job import job
from emjax.io.files import write_json
from emjax.jobs.record import campaign_record

with job(snakemake) as work:
    params, path = snakemake.params, work.folder.record
    write_json(path, campaign_record(work.folder, params.runs, params.config, params.emjax))
    work.say(f"{path}; emjax reproduce {path} runs it again")
