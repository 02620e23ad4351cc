"""Another program's classes as a run of this campaign, row by row with its particles."""

from pathlib import Path

import numpy as np
from _job import job
from _prepared import read_unchecked

from emjax.errors import InputError
from emjax.io.atomic import write_json
from emjax.io.labels import read_labels
from emjax.io.particles import write_particles

with job(snakemake) as work:
    params = snakemake.params
    identity, labels, posteriors = read_labels(params.path)
    table = read_unchecked(snakemake.config["particles"])
    row_of = {key: row for row, key in enumerate(identity.tolist())}
    rows = np.array([row_of.get(key, -1) for key in table.identity.tolist()])
    known = set(table.identity.tolist())
    extra = [key for key in identity.tolist() if key not in known]
    if params.on_mismatch == "error" and (extra or (rows < 0).any()):
        lacking = table.identity[rows < 0]
        examples = ", ".join([*lacking[:2], *extra[:2]])
        raise InputError(
            params.path,
            None,
            f"{len(lacking)} particles of the campaign missing, {len(extra)} unknown ({examples})",
            "the same particles; consensus.on_mismatch: intersect takes the common ones",
        )
    if (rows < 0).all():
        raise InputError(params.path, None, "no particle of the campaign", "common particles")
    own = np.where(rows < 0, -1, labels[rows])
    for path in map(Path, snakemake.output.labels):
        write_particles(path, table, {"rlnClassNumber": own + 1})
    metrics = {
        "run": Path(snakemake.output.metrics).parent.name,
        "method": "external",
        "n_classes": int(own.max()) + 1,
        "emjax_version": params.emjax,
        "options": {"path": params.path},
        "class_sizes": np.bincount(own[own >= 0]),
    }
    write_json(snakemake.output.metrics, metrics)
    work.say(f"{(own >= 0).sum()} of {table.n} particles in {metrics['n_classes']} classes")
