"""Some of the particles that were set aside, and of the others, beside their class's projection."""

from emjax.campaign.job import job
from emjax.jobs.gallery import write_gallery
from emjax.jobs.prepared import read_prepared

with job(snakemake) as work:
    prepared = read_prepared(work.folder.prepare, everyone=True)
    shown = write_gallery(work.folder, prepared)
    work.say(f"{shown} particles beside their projections in {work.folder.outliers.gallery}")
