"""A stand-alone map made in one process, as its rules make it one by one."""

from pathlib import Path
from typing import Any

import numpy as np

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.input import input_particles
from emjax.campaign.methods import all_runs
from emjax.campaign.settings import complete
from emjax.classify.som.runs import classify_images
from emjax.imaging.inplane import upright_images
from emjax.imaging.prepare_images import prepare_images
from emjax.io.files import write_json
from emjax.jobs.check import check_campaign
from emjax.jobs.preparation import aligned_images, images_file
from emjax.jobs.prepared import read_prepared
from emjax.jobs.record import campaign_record
from emjax.jobs.run_files import RunContext, write_run
from emjax.jobs.som import as_aligned, mask_of, properties_of, som_options
from emjax.jobs.som_classes import write_som_classes
from emjax.jobs.som_images import write_images

# So few images bear little smoothness.
SMALL = {
    "map": [3, 2],
    "seeds": 2,
    "annealing_steps": 2,
    "initial_regularisation": 50,
    "final_regularisation": 5,
    "n_components": 6,
    "ctf": "none",
}


def som_config(name: str, particles: str, **options: Any) -> dict[str, Any]:
    """A small map of particles, complete."""
    config = {"job": "som", "campaign": name, "particles": particles}
    return complete(config | {"runs": {"som": SMALL | options}})


def make_som_job(base: Path, config: dict[str, Any]) -> CampaignFolder:
    """Everything but the report; the current folder is where the images' names start."""
    folder, options = CampaignFolder.of(config["campaign"], base), config["runs"]["som"]
    suffixes = (".star", ".cs") if config["particles"].endswith(".cs") else (".star",)
    facts = check_campaign(config, lambda line: None, "0")
    facts.write(folder.prepare.facts)
    table, flip = input_particles(config), options["ctf"] == "phase_flip"
    with images_file(folder.prepare, table, facts.filter_resolution, "float32") as images:
        found = prepare_images(aligned_images(table), facts.filter_resolution, flip, "drop", images)
    write_images(folder.prepare, found, table, suffixes)
    prepared = read_prepared(folder.prepare)
    particles = as_aligned(prepared.particles, options)
    mask = mask_of(options, particles, facts.pixel_size)
    names = all_runs(config)
    seeds = [name.seed for name in names if name.seed is not None]
    maps = classify_images(
        upright_images(particles, flip), mask, som_options(options), seeds,
        properties_of(prepared.table),
    )  # fmt: skip
    context = RunContext(prepared.everyone, prepared.rows, suffixes, particles.voxel_size,
                         particles.extent)  # fmt: skip
    for name, trained in zip(names, maps, strict=True):
        write_run(folder.run(name), trained, context)
    runs = list(map(str, names))
    write_som_classes(folder, prepared, runs, options, suffixes)
    write_json(folder.record, campaign_record(folder, runs, config, "0"))
    return folder


def labels_of(folder: CampaignFolder, run: str) -> np.ndarray:
    """Node of each particle on one map."""
    return np.load(folder.run(run).posteriors).argmax(1)
