"""The library without Snakemake: its page runs as written, and gives a campaign's numbers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emjax
from emjax.io.labels.read import read_labels
from tests.campaigns import ROOT, Place, tiny_config

PAGE, NOTEBOOK = ROOT / "docs" / "library.md", ROOT / "docs" / "library.ipynb"


def blocks_of_page() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_notebook_is_the_page():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code == [block.rstrip("\n") for block in blocks_of_page()]


def test_every_public_name_is_there():
    for name in emjax.__all__:
        assert getattr(emjax, name) is not None
    assert set(emjax.__all__) <= set(dir(emjax))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = emjax.nothing


def test_importing_it_does_not_load_jax():
    code = "import sys, emjax; emjax.read_particles; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.slow
def test_the_page_runs_as_written(tmp_path: Path, particles: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/demo").symlink_to(particles)
    script = "\n".join(blocks_of_page())
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "nowhere.star" in done.stdout.splitlines()[-1]
    assert (tmp_path / "classes.star").exists()
    assert (tmp_path / "class_1.mrc").exists()


@pytest.mark.slow
def test_the_library_gives_what_the_workflow_gives(
    tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch
):
    place = Place(tmp_path)
    (tmp_path / "data").symlink_to(particles)
    em3d = {"n_classes": [2, 3], "seeds": 2, "full_iterations": 4, "evidence_seeds": 0}
    subspace = {"n_classes": [2], "seeds": 10, "iterations": 3}
    config = tiny_config(runs={"em3d": em3d, "subspace": subspace})
    done = place.snakemake(config)
    assert done.returncode == 0, done.stdout
    results = tmp_path / "results/tiny"

    monkeypatch.chdir(tmp_path)
    table = emjax.read_particles("data/particles.star")
    prepared = emjax.prepare(table, filter_resolution=config["filter_resolution"])
    runs = emjax.classify_em3d(prepared, [2, 3], 2, emjax.Em3dOptions(full_iterations=4))
    options = emjax.SubspaceOptions(n_classes=(2,), iterations=3)
    variability = emjax.fit_variability(prepared, options, micrographs=table.micrograph)
    runs += emjax.classify_subspace(prepared, [2], variability, 10)
    names = [f"em3d-K0{k}-s00{s}" for k in (2, 3) for s in (0, 1)] + ["sub-K02-s000"]
    for name, run in zip(names, runs, strict=True):
        folder = results / "runs" / name
        np.testing.assert_array_equal(run.labels, read_labels(folder / "particles.star")[1])
        np.testing.assert_array_equal(run.posteriors, np.load(folder / "posteriors.npy"))
        for k, volume in enumerate(run.maps, 1):
            written = emjax.read_volume(folder / f"class_{k:03d}.mrc")[0]
            np.testing.assert_array_equal(volume, written)
    found = emjax.build_consensus(runs, variability=variability)
    consensus = results / "consensus"
    np.testing.assert_array_equal(found.labels, read_labels(consensus / "particles.star")[1])
    members = np.flatnonzero(found.labels == 0)
    made = emjax.reconstruct(table, prepared, members)
    written = emjax.read_volume(consensus / "class_001.mrc")[0]
    np.testing.assert_array_equal(made.volume, written)
