"""Results of stand-alone jobs as they write them, made in a moment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.settings import complete
from emjax.consensus.build import build_consensus
from emjax.io.files import write_json, write_tsv
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.listed import listed_particles
from emjax.io.star.tables import StarFile, make_table, write_star
from emjax.jobs.labels import read_given_runs, write_given_consensus
from emjax.simulate.particles import phantom

N, BOX, PIXEL = 400, 24, 8.0
OPTICS = {"rlnOpticsGroup": [1], "rlnImagePixelSize": [PIXEL], "rlnImageSize": [BOX]}


def _write_classes(path: Path, classes: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{i + 1:06d}@gone.mrcs" for i in range(len(classes))]
    columns = {"rlnImageName": names, "rlnOpticsGroup": np.ones(len(classes), int)}
    table = make_table("particles", columns | {"rlnClassNumber": classes})
    write_star(path, StarFile((make_table("optics", OPTICS), table)))


def make_consensus(folder: Path) -> tuple[CampaignFolder, dict[str, Any]]:
    """A consensus of three runs of three classes; two runs have maps, of different boxes."""
    truth = np.arange(N) % 3
    runs = []
    for seed, box in enumerate((BOX, 16, 0)):
        rng = np.random.default_rng(seed)
        noisy = np.where(rng.random(N) < 0.1, rng.integers(0, 3, N), truth)
        job = folder / f"Class3D/job{seed:03d}"
        _write_classes(job / "run_it025_data.star", noisy + 1)
        for k, volume in enumerate(phantom(3, box, seed=1) if box else (), 1):
            write_volume(job / f"run_it025_class{k:03d}.mrc", volume, PIXEL)
        runs.append({"name": job.name, "path": str(job)})
    config = {"job": "consensus", "campaign": "three", "particles": runs[0]["path"]}
    config = complete(config | {"runs": {"external": runs}})
    results = CampaignFolder.of("three", folder)
    table = listed_particles(config["particles"])
    given = read_given_runs(table, config["runs"]["external"], "error")
    found = build_consensus(given.labels, given.names, given.posteriors)
    list(write_given_consensus(results, found, given, table, (".star",)))
    return results, config


def make_reconstruction(folder: Path) -> tuple[CampaignFolder, dict[str, Any]]:
    """Maps of classes 2 and 5."""
    results = CampaignFolder.of("maps", folder)
    config = {"job": "reconstruct", "campaign": "maps", "particles": "data.star"}
    config = complete(config | {"filter_resolution": 24})
    made, classes = results.reconstruct, np.where(np.arange(N) % 3, 2, 5)
    classes[:7] = 0
    _write_classes(made.particles.star, classes)
    sizes = np.bincount(classes, minlength=6)[1:]
    write_tsv(made.classes, pd.DataFrame({"class": np.arange(1, 6), "size": sizes}))
    frequency = np.arange(1, BOX // 2) / (BOX * PIXEL)
    for number, volume in zip((2, 5), phantom(2, BOX, seed=1), strict=True):
        for part in ("", "half1", "half2"):
            write_volume(made.class_map(number, part), volume, PIXEL)
        fsc = 1 / (1 + np.exp(np.arange(1, BOX // 2) - 2.0 * number))
        columns = {"resolution": 1 / frequency, "frequency_per_angstrom": frequency}
        write_tsv(made.class_fsc(number), pd.DataFrame(columns | {"fsc": fsc}))
    write_volume(made.solvent_mask, np.ones((BOX,) * 3, np.float32), PIXEL)
    facts = {"n_particles": N, "half_sets_given": 0, "box_size": BOX, "pixel_size": PIXEL}
    write_json(made.facts, facts | {"doubts": ["a doubt"]})
    return results, json.loads(json.dumps(config))
