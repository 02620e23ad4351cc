"""Do the classes follow a nuisance instead of a state?"""

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.audit.confounders import audit_classes
from emjax.campaign.job import job
from emjax.imaging.grids import resample
from emjax.io.files import read_tsv, write_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.jobs.prepared import read_scale, read_table

with job(snakemake) as work:
    table = read_table(work.folder.prepare)
    nuisances = {
        "rotations": table.rotations,
        "shifts": table.shifts,
        "defocus": (table.defocus_u + table.defocus_v) / 2,
        "astigmatism": table.defocus_u - table.defocus_v,
        "optics group": table.optics_group,
    }
    if table.micrograph is not None:
        nuisances["micrograph"] = table.micrograph
    mask = read_volume(snakemake.input.solvent_mask)[0]

    def audit(particles: str | Path, maps: list[Path], name: str) -> pd.DataFrame:
        """Rows of the table for one classification; its classes are called `name` and number."""
        volumes = np.stack([resample(read_volume(path)[0], len(mask)) for path in maps])
        rng = np.random.default_rng(snakemake.params.seed)
        labels = read_labels(particles)[1]
        rows = audit_classes(labels, nuisances, read_scale(table), volumes, mask, rng)
        return pd.DataFrame(rows | {"class": [f"{name}{c + 1}" for c in rows["class"]]})

    found = [audit(snakemake.input.consensus[0], snakemake.input.volumes, "")]
    # Where the consensus is one class, the best run tells what the runs' classes followed.
    runs = read_tsv(work.folder.runs_table)
    # Likelihoods of different methods do not compare; em3d's full maps come first.
    runs["other"] = runs["method"] != "em3d"
    runs = runs.sort_values(["other", "log_likelihood"], ascending=[True, False])
    mapped = [
        folder
        for folder in (work.folder.run(run).path for run in runs["run"])
        if (folder / "class_002.mrc").exists()
    ]
    if len(snakemake.input.volumes) == 1 and mapped:
        best = mapped[0]
        maps = sorted(best.glob("class_???.mrc"))
        found.append(audit(best / "particles.star", maps, f"{best.name}."))
    whole = pd.concat(found)
    write_tsv(snakemake.output[0], whole)
    for name, nuisance, effect, _, _, flag in whole.itertuples(index=False):
        if flag:
            work.say(f"class {name} goes with {nuisance} (effect {effect:.2f})")
    if not np.any(whole["flag"]):
        work.say("no class follows a nuisance")
