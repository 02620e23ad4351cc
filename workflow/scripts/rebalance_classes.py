"""How alike the consensus classes are, their superclasses, and which particles to keep."""

import numpy as np
import pandas as pd
from _job import job

from emjax.ensemble.affinity import volume_affinity
from emjax.ensemble.rebalance import rebalance, superclass_of_particle
from emjax.ensemble.superclasses import superclasses
from emjax.imaging.masks import resample_mask
from emjax.io.atomic import write_npy, write_tsv
from emjax.io.labels import read_labels
from emjax.io.particles import read_particles, write_particles
from emjax.io.volume import read_volume

with job(snakemake) as work:
    options, output = snakemake.params.options, snakemake.output
    table = read_particles(snakemake.input.consensus[0], check_images=False)
    labels = read_labels(snakemake.input.consensus[0])[1]
    volumes = np.stack([read_volume(path)[0] for path in snakemake.input.volumes])
    mask = resample_mask(read_volume(snakemake.input.solvent_mask)[0], volumes.shape[-1])
    affinity = volume_affinity(volumes, mask)
    number = options["superclasses"]
    if number != "auto" and number > len(volumes):
        raise ValueError(
            f"rebalance.superclasses: found {number}, expected at most the"
            f" {len(volumes)} consensus classes"
        )
    found = superclasses(affinity, number, seed=options["seed"])
    kept = rebalance(
        labels, found.labels, options["factor"], options["max_superclass_size"], options["seed"]
    )
    sizes = np.bincount(labels[labels >= 0], minlength=len(volumes))
    remaining = np.bincount(labels[kept & (labels >= 0)], minlength=len(volumes))
    rows = {
        "class": np.arange(len(volumes)) + 1,
        "superclass": found.labels + 1,
        "size": sizes,
        "kept": remaining,
        "excluded": sizes - remaining,
    }
    write_npy(output.affinity, affinity)
    write_tsv(output.superclasses, pd.DataFrame(rows))
    superclass = superclass_of_particle(labels, found.labels) + 1
    for paths, chosen in ((output.kept, kept), (output.excluded, ~kept)):
        columns = {"emjaxSuperclass": superclass[chosen]}
        for path in paths:
            write_particles(path, table.select(chosen), columns)
    work.say(f"{found.n_superclasses} superclasses; {kept.sum()} of {len(kept)} particles kept")
    if found.warning:
        work.say(found.warning)
