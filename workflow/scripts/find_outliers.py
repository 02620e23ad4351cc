"""Fit of every particle to the classes that the runs found; those that fit none."""

from emjax.campaign.job import job
from emjax.classify.outliers import describe_outliers, find_outliers
from emjax.jobs.outliers import maps_of_runs, write_outliers
from emjax.jobs.preparation import outlier_options
from emjax.jobs.prepared import read_prepared

with job(snakemake) as work:
    params, folder = snakemake.params, work.folder
    prepared = read_prepared(folder.prepare, everyone=True)
    volumes, names = maps_of_runs(folder, params.runs, prepared)
    options = outlier_options(params.outliers, prepared.table, params.symmetry)
    mean, mask = prepared.mean_map, prepared.solvent_mask
    found = find_outliers(prepared.particles, volumes, mask, options, mean)
    write_outliers(folder.outliers, found, prepared, names)
    for sentence in describe_outliers(found):
        work.say(sentence)
