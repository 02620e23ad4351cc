"""The maps of a consensus, as an export needs them."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.errors import InputError
from emjax.io.mrc.volume import write_volume
from emjax.jobs.export import consensus_classes


def test_classes_are_numbered_without_a_gap(tmp_path: Path):
    consensus = CampaignFolder(tmp_path).consensus
    with pytest.raises(InputError, match="found no map, expected class_001.mrc and so on"):
        consensus_classes(consensus)
    for k in (1, 2):
        write_volume(consensus.class_map(k), np.ones((8, 8, 8)), 3.0)
    write_volume(consensus.class_map(1, "half1"), np.ones((8, 8, 8)), 3.0)
    found = consensus_classes(consensus)
    assert [one.map for one in found] == [consensus.class_map(1), consensus.class_map(2)]
    assert [one.half_maps for one in found] == [None, None]
    consensus.class_map(1).unlink()
    with pytest.raises(InputError, match=r"found class_002.mrc, expected class_001.mrc"):
        consensus_classes(consensus)
