"""Superclasses and rebalancing of classes that were made before, by emjax or another program."""

from emjax.campaign.job import job
from emjax.jobs.given_classes import compare_given, read_given, write_given
from emjax.jobs.rebalance import write_rebalance

with job(snakemake) as work:
    options = snakemake.params.options
    given = read_given(work.config)
    work.say(f"{len(given.references)} classes, {given.table.n} particles")
    given, affinity, blank = compare_given(given, work.config, work.progress)
    found = write_rebalance(
        work, work.suffixes, given.table, given.labels, affinity, options, blank
    )
    write_given(work.folder.rebalance, work.suffixes, given, found, options["mirror"])
