"""The classifications of a campaign as the audit reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emjax.audit.confounders import Audited, known_nuisances, run_to_audit
from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import ParticleSet


def read_audited(folder: CampaignFolder, volumes: Sequence[Path | str]) -> dict[str, Audited]:
    """The consensus and, where it is one class, the best run, by name (empty: the consensus).

    Args:
        folder: of the campaign.
        volumes: maps of the consensus classes.
    """
    audited = {"": _read(folder.consensus.particles.star, volumes)}
    if len(volumes) == 1:
        runs = read_tsv(folder.runs_table)
        runs = runs[[len(folder.run(run).class_maps()) > 1 for run in runs["run"]]]
        fit = np.asarray(runs["log_likelihood"], float)
        best = run_to_audit(list(runs["run"]), list(runs["method"]), fit)
        if best is not None:
            run = folder.run(best)
            audited[best] = _read(run.particles.star, run.class_maps())
    return audited


def _read(particles: Path, maps: Sequence[Path | str]) -> Audited:
    return Audited(read_labels(particles)[1], [read_volume(path)[0] for path in maps])


def nuisances_of(table: ParticleSet) -> dict[str, np.ndarray]:
    """What is known of the particles besides their images."""
    names = ("rotations", "shifts", "defocus_u", "defocus_v", "optics_group", "micrograph")
    return known_nuisances(**{name: getattr(table, name) for name in names})
