"""Do the classes follow a nuisance instead of a state?"""

import pandas as pd

from emjax.audit.confounders import audit_classifications, describe_flags
from emjax.campaign.job import job
from emjax.io.files import write_tsv
from emjax.io.mrc.volume import read_volume
from emjax.jobs.audit import nuisances_of, read_audited
from emjax.jobs.prepared import read_scale, read_table

with job(snakemake) as work:
    table = read_table(work.folder.prepare)
    found = audit_classifications(
        read_audited(work.folder, snakemake.input.volumes),
        nuisances_of(table),
        read_scale(table),
        read_volume(snakemake.input.solvent_mask)[0],
    )
    write_tsv(work.folder.consensus.confounders, pd.DataFrame(found))
    for sentence in describe_flags(found):
        work.say(sentence)
