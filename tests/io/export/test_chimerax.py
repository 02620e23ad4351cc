"""ChimeraX gets maps and a script."""

import numpy as np

from emjax.io.export.chimerax import export_chimerax
from emjax.io.mrc.volume import read_volume


def test_chimerax(exported, classes):
    folder = exported / "chimerax"
    assert sorted(path.name for path in folder.glob("class_*.mrc")) == [
        "class_001.mrc", "class_002.mrc"]  # fmt: skip
    mean = read_volume(folder / "mean.mrc")[0]
    first = read_volume(classes[0].map)[0]
    np.testing.assert_allclose(read_volume(folder / "difference_001.mrc")[0], first - mean)
    script = (folder / "classes.cxc").read_text()
    assert "open class_001.mrc class_002.mrc" in script and "class 1: 2 particles, 66.7%" in script
    assert script.count("color sample") == 2
    series = (folder / "series.cxc").read_text()
    assert "open class_001.mrc class_002.mrc vseries true" in series
    assert all((folder / name).is_file() for name in ("class_001.mrc", "class_002.mrc"))


def test_one_map_is_no_series(classes, tmp_path):
    export_chimerax(tmp_path / "one", np.ones(3, int), classes[:1])
    assert "vseries" not in (tmp_path / "one" / "series.cxc").read_text()
