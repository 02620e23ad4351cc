"""What is doubtful about the focus mask beside the mean map, before anything is classified."""

from emjax.campaign.job import job
from emjax.io.files import write_json
from emjax.jobs.focus import doubts_of_focus

with job(snakemake) as work:
    folder = work.folder.prepare
    doubts = list(doubts_of_focus(snakemake.params.focus, folder))
    write_json(folder.focus_doubts, doubts)
    for doubt in doubts:
        work.say(f"warning: {doubt}")
