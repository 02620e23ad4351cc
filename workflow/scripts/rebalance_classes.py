"""How alike the consensus classes are, their superclasses, and which particles to keep."""

import numpy as np
from _job import job
from _prepared import read_unchecked
from _rebalance import write_rebalance

from emjax.imaging.masks import resample_mask
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.rebalance.affinity import volume_affinity

with job(snakemake) as work:
    options = snakemake.params.options
    table = read_unchecked(snakemake.input.consensus[0])
    labels = read_labels(snakemake.input.consensus[0])[1]
    volumes = np.stack([read_volume(path)[0] for path in snakemake.input.volumes])
    mask = resample_mask(read_volume(snakemake.input.solvent_mask)[0], volumes.shape[-1])
    number = options["superclasses"]
    if number != "auto" and number > len(volumes):
        raise ValueError(
            f"rebalance.superclasses: found {number}, expected at most the"
            f" {len(volumes)} consensus classes"
        )
    write_rebalance(work, snakemake.output, table, labels, volume_affinity(volumes, mask), options)
