"""What there is of a class: map, half-maps, FSC."""

import numpy as np
import pandas as pd
import pytest

from emjax.io.export.classes import ExportedClass, find_class
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


def found(folder, number: int) -> ExportedClass:
    stem = f"class_00{number}"
    halves = folder / f"{stem}_half1.mrc", folder / f"{stem}_half2.mrc"
    return find_class(folder / f"{stem}.mrc", halves, folder / f"{stem}_fsc.tsv")


def test_half_maps_and_resolution_belong_to_their_class(consensus):
    first, second = found(consensus, 1), found(consensus, 2)
    assert first.map == consensus / "class_001.mrc"
    # The FSC falls from 0.5 in shell 2 to 0.1 in shell 3 of a box of 24 Å.
    assert first.resolution == pytest.approx(24 / (2 + (0.5 - 0.143) / 0.4))
    assert first.half_maps == (consensus / "class_001_half1.mrc", consensus / "class_001_half2.mrc")
    assert first.fsc is not None and first.fsc.tolist() == [1, 0.9, 0.5, 0.1, 0.3]
    assert (second.half_maps, second.fsc, second.resolution) == (None, None, 999.0)
