"""A new method adds four files and edits four: the house is copied, and a toy moves in."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.campaigns import ROOT, Place, tiny_config

pytestmark = pytest.mark.slow

ADDED = {
    "method.py": "emjax/campaign/methods/toy.py",
    "classify.py": "emjax/classify/toy.py",
    "script.py": "workflow/scripts/classify_toy.py",
    "toy.smk": "workflow/rules/toy.smk",
}
# Text before which, in each file, a line of the toy's is put.
EDITED = {
    "emjax/campaign/methods/__init__.py": {
        "from emjax.campaign.names": "from emjax.campaign.methods.toy import Toy\n",
        "External())": "Toy(), ",
    },
    "workflow/Snakefile": {'include: "rules/external.smk"': 'include: "rules/toy.smk"\n'},
    "config.yaml": {
        "  # Classifications made by other": "  # Particles by defocus.\n  toy: null\n"
    },
    "workflow/schemas/config.schema.yaml": {},  # as YAML, below
}
SECTION = {
    "type": ["object", "null"],
    "default": None,
    "description": "Particles by defocus.",
    "additionalProperties": False,
    "required": ["n_classes", "seeds"],
    "properties": {
        "n_classes": {"type": "integer", "minimum": 1, "description": "Number of classes."},
        "seeds": {"type": "integer", "minimum": 1, "description": "Number of seeds."},
    },
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, particles: Path) -> Place:
    """A copy of the code with the toy in it, and particles."""
    tree = tmp_path_factory.mktemp("house")
    skip = shutil.ignore_patterns("__pycache__", ".snakemake")
    for name in ("emjax", "workflow", "profiles"):
        shutil.copytree(ROOT / name, tree / name, ignore=skip)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tree)
    for file, target in ADDED.items():
        assert not (tree / target).exists()
        shutil.copy(Path(__file__).parent / "toy" / file, tree / target)
    for target, changes in EDITED.items():
        text = (tree / target).read_text()
        for before, new in changes.items():
            assert text.count(before) == 1, f"{target}: {before}"
            text = text.replace(before, new + before)
        (tree / target).write_text(text)
    schema = tree / "workflow/schemas/config.schema.yaml"
    options = yaml.safe_load(schema.read_text())
    options["properties"]["runs"]["properties"]["toy"] = SECTION
    schema.write_text(yaml.safe_dump(options, sort_keys=False, allow_unicode=True))
    place = Place(tmp_path_factory.mktemp("place"))
    place.snakefile = tree / "Snakefile"
    (place.folder / "data").symlink_to(particles)
    return place


def test_no_more_files_are_touched():
    assert len(ADDED) <= 4
    assert len(EDITED) <= 4


def test_the_toy_joins_the_consensus_and_the_report(house: Place):
    runs = tiny_config()["runs"] | {"toy": {"n_classes": 2, "seeds": 2}}
    tree = str(house.snakefile.parent)
    done = house.snakemake(tiny_config(runs=runs), environment={"PYTHONPATH": tree})
    assert done.returncode == 0, done.stdout
    results = house.folder / "results/tiny"
    for seed in (0, 1):
        metrics = json.loads((results / f"runs/toy-K02-s00{seed}/metrics.json").read_text())
        assert (metrics["method"], metrics["seed"], metrics["class_sizes"]) == (
            "toy",
            seed,
            [150] * 2,
        )
    assert "toy-K02-s001" in (results / "runs.tsv").read_text()
    agreement = (results / "consensus/agreement.tsv").read_text()
    assert "toy-K02-s000\ttoy-K02-s001\t1.0" in agreement
    assert "toy-K02-s000" in (results / "report.html").read_text()


def test_its_options_are_checked_like_all_others(house: Place):
    runs = {"toy": {"n_classes": 0, "seeds": 2}}
    tree = str(house.snakefile.parent)
    done = house.snakemake(tiny_config(runs=runs), environment={"PYTHONPATH": tree})
    assert done.returncode != 0
    expected = "tiny.yaml: runs.toy.n_classes: found 0, expected a whole number from 1"
    assert expected in done.stdout.splitlines()[-1]
