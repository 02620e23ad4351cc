"""Do the consensus classes follow a nuisance instead of a state?"""

from pathlib import Path

import numpy as np
import pandas as pd
from _job import job
from _prepared import read_table

from emjax.ensemble.confounders import audit_confounders, audit_movement
from emjax.imaging.grids import resample
from emjax.io.atomic import write_tsv
from emjax.io.labels import read_labels
from emjax.io.volume import read_volume

with job(snakemake) as work:
    table = read_table(Path(snakemake.input.mean_map).parent)
    labels = read_labels(snakemake.input.consensus[0])[1]
    nuisances = {
        "rotations": table.rotations,
        "shifts": table.shifts,
        "defocus": (table.defocus_u + table.defocus_v) / 2,
        "astigmatism": table.defocus_u - table.defocus_v,
        "optics group": table.optics_group,
    }
    if table.micrograph is not None:
        nuisances["micrograph"] = table.micrograph
    varying = {k: v for k, v in nuisances.items() if len(np.unique(v, axis=0)) > 1}
    rng = np.random.default_rng(snakemake.params.seed)
    known = audit_confounders(labels, varying, rng)

    mean_map = read_volume(snakemake.input.mean_map)[0]
    volumes = [resample(read_volume(p)[0], len(mean_map)) for p in snakemake.input.volumes]
    mask = read_volume(snakemake.input.solvent_mask)[0]
    movement = audit_movement(np.stack(volumes), mean_map, mask)
    found = pd.concat([pd.DataFrame(known), pd.DataFrame(movement)])
    found["class"] += 1
    write_tsv(snakemake.output[0], found)
    flagged = [row for row in found.to_dict(orient="records") if row["flag"]]
    for row in flagged:
        nuisance, effect = row["nuisance"], row["effect_size"]
        work.say(f"class {row['class']} goes with {nuisance} (effect {effect:.2f})")
    if not flagged:
        work.say("no class follows a nuisance")
