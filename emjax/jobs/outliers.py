"""How well every particle fits the classes that the runs found, and which fit none."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder, OutliersFolder
from emjax.classify.calibration import Calibration, score_of
from emjax.classify.outliers import Outliers
from emjax.consensus.traces import name_class
from emjax.io.fields import FIT
from emjax.io.files import read_json, read_tsv, write_json, write_tsv
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import set_aside
from emjax.jobs.prepared import Prepared


def maps_of_runs(
    folder: CampaignFolder, runs: Sequence[str], prepared: Prepared
) -> tuple[np.ndarray, list[str]]:
    """Maps of the most likely run of each method and number of classes, and their names.

    The mean map stands in where no run has maps of the volume.
    """
    best: dict[tuple[str, int], tuple[float, str]] = {}
    for run in runs:
        found = read_json(folder.run(run).metrics)
        fit = found.get("log_likelihood")
        if fit is not None and folder.run(run).class_maps():
            kind = found["method"], found["n_classes"]
            best[kind] = max(best.get(kind, (-np.inf, "")), (fit, run))
    maps = [(run, path) for _, run in best.values() for path in folder.run(run).class_maps()]
    if not maps:
        return prepared.mean_map[None], ["mean"]
    names = [name_class(run, int(path.stem.rpartition("_")[2])) for run, path in maps]
    return np.stack([read_volume(path)[0] for _, path in maps]), names


def write_outliers(
    folder: OutliersFolder, found: Outliers, prepared: Prepared, names: Sequence[str]
) -> None:
    """Write the fit of every particle, with what the preparation had set aside already."""
    before = set_aside(prepared.everyone.source)
    reason = np.where(found.reason == "", "none", found.reason)
    # What was set aside before is not judged again: its probability is that of the mean map.
    first = np.where(before == "none", found.probability, first_probability(prepared))
    table = {
        "particle": np.arange(len(before)) + 1,
        "fit": found.log_likelihood_ratio.round(3),
        "probability": first.round(6),
        "set_aside": np.where(before == "none", reason, before),
        "best_map": np.asarray(names)[found.best],
    }
    write_json(folder.record, found.record())
    write_tsv(folder.fits, pd.DataFrame(table))


def first_probability(prepared: Prepared) -> np.ndarray:
    """That each particle fits the mean map, as the preparation found it."""
    calibration = Calibration.read(read_json(prepared.folder.outliers)["calibration"])
    fit = prepared.everyone.source.particles.numbers(FIT)  # type: ignore[union-attr]
    return calibration.probability(score_of(fit))


def read_reasons(folder: OutliersFolder) -> np.ndarray:
    """Why each particle is set aside, `none` where it is not."""
    return read_tsv(folder.fits)["set_aside"].to_numpy(str)
