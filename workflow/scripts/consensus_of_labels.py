"""The consensus of label files alone: no images, poses or CTFs."""

import dataclasses

from emjax.campaign.job import job
from emjax.consensus.build import build_consensus
from emjax.consensus.options import ConsensusOptions
from emjax.io.particles.listed import listed_particles
from emjax.jobs.labels import listing_options, read_given_runs, write_given_consensus

with job(snakemake) as work:
    params, options = snakemake.params, snakemake.params.options
    table = listed_particles(params.particles, **listing_options(params.particles, params.runs))
    runs = read_given_runs(table, params.runs, options["on_mismatch"])
    for name, joined in zip(runs.names, runs.joined_on, strict=True):
        work.say(f"{name}: found by {joined}")
    known = {field.name for field in dataclasses.fields(ConsensusOptions)}
    chosen = ConsensusOptions(**{k: v for k, v in options.items() if k in known})
    found = build_consensus(runs.labels, runs.names, runs.posteriors, chosen)
    for sentence in write_given_consensus(work.folder, found, runs, table, work.suffixes):
        work.say(sentence)
    work.say(found.number.why)
