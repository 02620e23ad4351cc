"""The consensus of all runs: intersections, linkage, number of classes, stability."""

import dataclasses

from emjax.campaign.job import job
from emjax.consensus.build import build_consensus
from emjax.consensus.options import ConsensusOptions
from emjax.io.files import read_json
from emjax.jobs.consensus import read_runs, write_consensus
from emjax.jobs.prepared import read_table
from emjax.jobs.subspace import read_images

with job(snakemake) as work:
    options, folder = snakemake.params.options, work.folder
    runs = read_runs(folder, snakemake.params.runs, options["on_mismatch"])
    judged = [read_json(path)["discrete_classes"] for path in snakemake.input.evidence]
    focus, memory = snakemake.params.focus, snakemake.config["max_memory_gb"]
    images = read_images(folder, focus, memory) if snakemake.input.basis else None
    known = {field.name for field in dataclasses.fields(ConsensusOptions)}
    found = build_consensus(
        runs.labels,
        runs.names,
        runs.posteriors,
        ConsensusOptions(**{k: v for k, v in options.items() if k in known}),
        log_likelihood=runs.log_likelihood,
        run_groups=runs.groups,
        starts=runs.starts,
        max_classes_supported=max(judged, default=None),
        images=images,
    )
    write_consensus(folder, found, read_table(folder.prepare), work.suffixes)
    sizes = found.classes["size"]
    classes = "class" if len(sizes) == 1 else "classes"
    work.say(f"{len(sizes)} consensus {classes} of {', '.join(map(str, sizes))} particles")
    best, why = found.number.recommended, found.number.why
    work.say(why if best == found.number.chosen else f"{best} would be recommended: {why}")
