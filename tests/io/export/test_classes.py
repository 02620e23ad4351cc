"""The maps of a campaign's classes."""

import numpy as np
import pandas as pd
import pytest

from emjax.errors import InputError
from emjax.io.export.classes import consensus_classes
from emjax.io.files import write_tsv
from emjax.io.mrc.volume import write_volume


@pytest.fixture
def consensus(tmp_path):
    for k in (1, 2):
        write_volume(tmp_path / f"class_00{k}.mrc", np.ones((8, 8, 8)), 3.0)
    for half in (1, 2):
        write_volume(tmp_path / f"class_001_half{half}.mrc", np.ones((8, 8, 8)), 3.0)
    fsc = {"resolution": [24.0, 12.0, 8.0, 6.0], "fsc": [0.9, 0.5, 0.1, 0.3]}
    write_tsv(tmp_path / "class_001_fsc.tsv", pd.DataFrame(fsc))
    return tmp_path


def test_half_maps_and_resolution_belong_to_their_class(consensus):
    first, second = consensus_classes(consensus)
    assert first.map == consensus / "class_001.mrc"
    # The FSC falls from 0.5 in shell 2 to 0.1 in shell 3 of a box of 24 Å.
    assert first.resolution == pytest.approx(24 / (2 + (0.5 - 0.143) / 0.4))
    assert first.half_maps == (consensus / "class_001_half1.mrc", consensus / "class_001_half2.mrc")
    assert first.fsc is not None and first.fsc.tolist() == [1, 0.9, 0.5, 0.1, 0.3]
    assert (second.half_maps, second.fsc, second.resolution) == (None, None, 999.0)


def test_a_missing_map_is_an_error(consensus):
    (consensus / "class_001.mrc").unlink()
    with pytest.raises(InputError, match="found class_002.mrc, expected class_001.mrc"):
        consensus_classes(consensus)
