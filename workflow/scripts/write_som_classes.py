"""The maps of all seeds compared, and the best one's nodes as the classes of a 2D job."""

from emjax.campaign.job import job
from emjax.io.files import read_json
from emjax.jobs.prepared import read_prepared
from emjax.jobs.som_classes import write_som_classes

with job(snakemake) as work:
    params, folder = snakemake.params, work.folder
    prepared = read_prepared(folder.prepare)
    run = write_som_classes(folder, prepared, params.runs, params.options, work.suffixes)
    n_nodes = read_json(folder.run(run).metrics)["n_classes"]
    empty = read_json(folder.run(run).metrics)["empty_nodes"]
    work.say(f"{n_nodes - empty} classes of {prepared.particles.n} images, the nodes of {run}")
    work.say(f"{folder.classes.optimiser} opens in RELION, {folder.classes.templates} in CryoSPARC")
