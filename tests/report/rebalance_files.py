"""The folder of classes that were rebalanced alone, without the comparison."""

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.settings import complete
from emjax.io.files import write_json, write_npy, write_tsv
from emjax.io.mrc.references import write_averages
from emjax.io.mrc.volume import write_stack, write_volume
from emjax.rebalance.rebalancing import RebalanceOptions, rebalance_classes
from emjax.report.page import render_report


def make_rebalance(folder: Path, n_classes: int = 12, n_views: int = 3, in_3d: bool = False) -> str:
    """Classes of some views, of which the last has no particle; the page of it."""
    rng = np.random.default_rng(0)
    view, paths = np.arange(n_classes) % n_views, CampaignFolder(folder).rebalance
    affinity = np.where(view[:, None] == view, 0.95, 0.4)
    noise = rng.uniform(-0.02, 0.02, affinity.shape)
    affinity = affinity + (noise + noise.T) / 2
    np.fill_diagonal(affinity, 1)
    sizes = rng.integers(20, 200, n_classes)
    sizes[-1] = 0
    labels, blank = np.repeat(np.arange(n_classes), sizes), sizes == 0
    options = RebalanceOptions(superclasses=n_views, factor=0.9)
    found = rebalance_classes(labels, affinity, options, blank)
    paths.superclass_files.mkdir(parents=True)
    write_npy(paths.affinity, affinity)
    write_tsv(paths.superclasses, pd.DataFrame(found.table()))
    write_json(paths.summary, found.record())
    images = rng.standard_normal((n_classes, 16, 16)).astype(np.float32)
    images[-1] = 0
    write_stack(paths.thumbnails, images, 4.0)
    if in_3d:
        for s in range(n_views):
            volume = rng.standard_normal((8, 8, 8)).astype(np.float32)
            write_volume(paths.superclass_map(s + 1), volume, 4.0)
    else:
        write_averages(paths.averages, images[:n_views], 4.0, {})
    config = {"job": "rebalance", "campaign": "alone", "particles": "data.star"}
    return render_report(CampaignFolder(folder), complete(config))
