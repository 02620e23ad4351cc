"""Superclasses and rebalancing of classes that were made before, by emjax or another program."""

from pathlib import Path

import numpy as np

from emjax.campaign.job import job, not_there
from emjax.errors import InputError
from emjax.imaging.masks import sphere
from emjax.io.labels.read import read_labels
from emjax.io.mrc.references import check_same_job, read_references, write_reference_list
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles
from emjax.jobs.rebalance import write_rebalance
from emjax.rebalance.affinity import image_affinity, shrink_images, volume_affinity

with job(snakemake) as work:
    params, options = snakemake.params, snakemake.params.options
    source, paths = Path(work.config["particles"]), options["references"]
    if not source.exists():
        raise InputError("config", "particles", not_there(source))
    table = read_particles(source, check_images=False, require_poses=False, require_ctf=False)
    labels = read_labels(source)[1]
    paths = [Path(path) for path in ([paths] if isinstance(paths, str) else paths)]
    references = read_references(paths, params.image_root)
    check_same_job(references, labels, paths[0], source)
    work.say(f"{len(references)} references, {table.n} particles")
    if references.densities.ndim == 4:
        box_size, solvent = references.densities.shape[-1], params.solvent_mask
        mask = sphere(box_size) if solvent == "auto" else read_volume(solvent, box_size)[0]
        affinity = volume_affinity(references.densities, np.asarray(mask, np.float32))
    else:
        affinity = image_affinity(shrink_images(references.densities), mirror=options["mirror"])
    found = write_rebalance(work, work.suffixes, table, labels, affinity, options)
    write_reference_list(work.folder.rebalance.references, references, found.superclasses.labels)
