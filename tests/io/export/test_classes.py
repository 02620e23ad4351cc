"""What there is of a class: map, half-maps, FSC."""

import numpy as np
import pandas as pd
import pytest

from emjax.io.export.classes import ExportedClass, describe_class, link_map
from emjax.io.files import read_tsv, write_tsv
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
    fsc = folder / f"{stem}_fsc.tsv"
    return describe_class(folder / f"{stem}.mrc", halves, read_tsv(fsc) if fsc.exists() else None)


def test_half_maps_and_resolution_belong_to_their_class(consensus):
    first, second = found(consensus, 1), found(consensus, 2)
    assert first.map == consensus / "class_001.mrc"
    # The FSC falls from 0.5 in shell 2 to 0.1 in shell 3 of a box of 24 Å.
    assert first.resolution == pytest.approx(24 / (2 + (0.5 - 0.143) / 0.4))
    assert first.half_maps == (consensus / "class_001_half1.mrc", consensus / "class_001_half2.mrc")
    assert first.fsc is not None and first.fsc.tolist() == [1, 0.9, 0.5, 0.1, 0.3]
    assert (second.half_maps, second.fsc, second.resolution) == (None, None, 999.0)


def test_a_map_is_linked_and_outlives_what_is_written_over_its_source(tmp_path):
    source, target = tmp_path / "a.mrc", tmp_path / "export" / "b.mrc"
    write_volume(source, np.ones((8, 8, 8)), 3.0)
    before = source.read_bytes()
    link_map(source, target)
    assert target.samefile(source)
    write_volume(source, np.zeros((8, 8, 8)), 3.0)
    assert target.read_bytes() == before and source.read_bytes() != before


def test_a_map_is_copied_where_links_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    source, target = tmp_path / "a.mrc", tmp_path / "b.mrc"
    write_volume(source, np.ones((8, 8, 8)), 3.0)
    monkeypatch.setattr("emjax.io.export.classes.os.link", refuse)
    link_map(source, target)
    assert not target.samefile(source) and target.read_bytes() == source.read_bytes()
