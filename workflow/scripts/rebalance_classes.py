"""How similar the consensus classes are, their superclasses, and which particles to keep."""

import numpy as np

from emjax.campaign.job import job
from emjax.imaging.masks import resample_mask
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.jobs.prepared import read_unchecked
from emjax.jobs.rebalance import write_rebalance
from emjax.rebalance.affinity import volume_affinity

with job(snakemake) as work:
    options, consensus = snakemake.params.options, work.folder.consensus.particles.star
    table, labels = read_unchecked(consensus), read_labels(consensus)[1]
    volumes = np.stack([read_volume(path)[0] for path in snakemake.input.volumes])
    mask = resample_mask(read_volume(work.folder.prepare.solvent_mask)[0], volumes.shape[-1])
    affinity = volume_affinity(volumes, mask)
    write_rebalance(work, work.suffixes, table, labels, affinity, options)
