"""The configuration: every default filled in, every mistake reported in one line."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from emjax.campaign.settings import complete, load_schema, read_config
from emjax.campaign.yaml_file import ConfigError, read_yaml
from tests.campaigns import tiny_config

ROOT = Path(__file__).resolve().parents[2]


def options(schema: dict, prefix: str = ""):
    """Every option of the schema with its dotted name."""
    for name, option in schema.get("properties", {}).items():
        yield f"{prefix}{name}", option
        yield from options(option, f"{prefix}{name}.")


def test_every_default_is_filled_in():
    config = complete(tiny_config())
    assert config["masks"] == {
        "solvent": "auto",
        "focus": None,
        "threshold": 0.2,
        "near": 10,
        "far": 20,
    }
    assert config["runs"]["em3d"]["switch_convergence"] == 0.02
    assert config["consensus"]["n_classes"] == "auto"
    assert config["rebalance"]["factor"] == 0
    assert complete(config) == config


def test_the_input_is_left_as_it_is():
    config = tiny_config()
    complete(config)
    assert config == tiny_config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"campain": "x"}, "campain: unknown option; did you mean campaign?"),
        ({"consensus": {"ndr": 1}}, "consensus.ndr: unknown option; did you mean fdr?"),
        ({"runs": {"em3d": {"n_clases": [2], "seeds": 1}}}, "did you mean n_classes?"),
        ({"zebra": 1}, "zebra: unknown option; known are job, campaign,"),
        ({"campaign": "../x"}, "campaign: found '../x', expected a name of letters"),
        ({"campaign": "$(id)"}, "campaign: found '$(id)', expected a name of letters"),
        ({"campaign": 2024}, "digits and . _ -; write it in quotes, '2024'"),
        ({"campaign": date(2024, 1, 31)}, "write it in quotes, '2024-01-31'"),
        ({"particles": None}, "particles: found None, expected text"),
        ({"filter_resolution": 0}, "filter_resolution: found 0, expected a number above 0"),
        ({"filter_resolution": "24 Å"}, "filter_resolution: found '24 Å', expected a number"),
        ({"filter_resolution": float("nan")}, "filter_resolution: found nan, expected a finite"),
        ({"runs": {}}, "runs: found none, expected at least one of em3d"),
        ({"runs": None}, "runs: found None, expected a section with em3d, subspace"),
        ({"runs": {"em3d": {"seeds": 5}}}, "runs.em3d.n_classes: missing; expected a list"),
        ({"runs": {"em3d": {"n_classes": 4, "seeds": 5}}}, "n_classes: found 4, expected a list"),
        ({"runs": {"em3d": {"n_classes": [0], "seeds": 5}}}, "n_classes[0]: found 0"),
        ({"runs": {"em3d": {"n_classes": [2], "seeds": [1, 1]}}}, "list of different seeds"),
        ({"runs": {"em3d": {"n_classes": [2], "seeds": 0}}}, "seeds: found 0"),
        ({"runs": {"external": [{"name": "a/b", "path": "x"}]}}, "external[0].name: found 'a/b'"),
        ({"consensus": {"fdr": 2}}, "consensus.fdr: found 2, expected a number above 0 up to 1"),
        ({"consensus": {"n_classes": "knee"}}, "expected auto, a whole number from 1, or an elbow"),
        ({"consensus": {"metric": "l2"}}, "expected one of cosine, euclidean"),
        ({"rebalance": {"factor": -1}}, "rebalance.factor: found -1"),
        ({"rebalance": {"max_superclass_size": 9}}, "needs rebalance.factor above 0"),
        ({"masks": {"near": 30}}, "masks.near: found 30, expected at most masks.far (20)"),
        ({"runs": {"som": {"seeds": 1, "map": [7]}}}, "expected columns and rows of the map"),
        (
            {"runs": {"som": {"seeds": 1, "initial_regularisation": 200}}},
            "initial_regularisation: found 200, expected more than final_regularisation (200)",
        ),
        ({"job": "consens"}, "job: found 'consens', expected one of campaign, rebalance"),
        ({"job": "rebalance"}, "the job rebalance does not read it"),
        ({"job": "som"}, "the job som does not read it"),
        ({"job": "som", "runs": {}}, "runs.som: missing; expected its options"),
        (
            {"runs": {"som": {"seeds": 1, "aligned": True}}},
            "runs.som.aligned: found true, expected it with job: som only",
        ),
        (
            {"rebalance": {"references": "model.star"}},
            "rebalance.references: found 'model.star', expected nothing: the job campaign",
        ),
        ({"seeds_per_job": True}, "seeds_per_job: found True, expected a whole number"),
        ({"symmetry": "I"}, "symmetry: found 'I', expected a point group C1, C2"),
        (
            {"symmetry": "D7", "runs": {"subspace": {"n_classes": [2], "seeds": 1}}},
            "symmetry: found D7 with runs.subspace, which knows C1 only",
        ),
        (
            {
                "runs": {
                    "em3d": {
                        "n_classes": [2],
                        "seeds": 1,
                        "reorder_by_size": True,
                        "write_each_iteration": True,
                    }
                }
            },
            "runs.em3d.reorder_by_size: excludes write_each_iteration",
        ),
        ({"scale": "auto"}, "scale: found 'auto', expected one of optimal, input, none"),
    ],
)
def test_a_mistake_is_told_in_one_line(changes: dict, message: str):
    with pytest.raises(ConfigError) as error:
        complete(tiny_config(**changes), "my.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("my.yaml: ")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_told():
    config = tiny_config()
    del config["runs"]
    with pytest.raises(
        ConfigError, match="my.yaml: runs: missing; expected a section with em3d, subspace"
    ):
        complete(config, "my.yaml")


TOP = "campaign: t\nparticles: a.star\nfilter_resolution: 24\n"
SPOILT = [
    (None, "found no such file or directory (from /"),
    ("", "found an empty file, expected options such as campaign: demo"),
    ("# nothing yet\n", "found an empty file, expected options"),
    ("campaign t\n", "found 'campaign t', expected options"),
    (b"campaign: \xff", "at byte 10, expected UTF-8 text"),
    ("campaign t\nparticles: a.star\n", "line 1: found no colon in 'campaign t', expected name: v"),
    (TOP + "runs\n  em3d: {seeds: 2}\n", "line 4: found no colon in 'runs', expected name: value"),
    (TOP.replace(": 24", ":24") + "runs: {}\n", "line 3: found no colon in 'filter_resolution:24'"),
    (TOP + "runs:\n\tem3d: {seeds: 2}\n", "line 5, column 1: found a tab, expected blanks"),
    (TOP + "runs:\n  em3d: {seeds: [1, 2}\n", "line 5: found a bracket that is not closed"),
    (TOP + "runs:\n  som:\n    a: 1\n   b: 2\n", "line 7, column 4: found another indentation"),
    ('campaign: "t\n' + TOP[12:], "line 1: found a quotation mark without its second"),
    (TOP + "campaign: u\n", "line 4, column 1: found campaign again, as in line 1"),
    (TOP + "masks:\n  near: 5\n  near: 6\n", "line 6, column 3: found near again, as in line 5"),
    (
        TOP + "em3d: {n_classes: [2], seeds: 2}\n",
        "em3d: found at top level; it belongs under runs:",
    ),
]


@pytest.mark.parametrize(("text", "message"), SPOILT)
def test_a_spoilt_file_is_reported_with_its_line(
    tmp_path: Path, text: str | bytes | None, message: str
):
    path = tmp_path / "my.yaml"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)
    assert "\n" not in str(error.value)


def test_keys_of_different_sections_and_merged_ones_are_no_doubles(tmp_path: Path):
    path = tmp_path / "my.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {x: 1}\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1}}


def make_env(accelerator: str) -> subprocess.CompletedProcess[str]:
    """What `make env` would do for an accelerator."""
    command = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "env",
        f"ACCELERATOR={accelerator}",
        f"PYTHON={sys.executable}",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_misspelt_accelerator_is_refused():
    done = make_env("cuda")
    assert done.returncode != 0
    assert "ACCELERATOR: found cuda, expected cuda12 or cuda13" in done.stderr


def test_an_environment_for_a_gpu_says_where_there_is_none():
    last = make_env("cuda12").stdout.splitlines()[-1]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(["bash", "-c", last], env=environment, capture_output=True, text=True)
    assert "emjax is ready in .venv" in done.stdout
    assert "JAX sees no GPU on this machine" in done.stdout


def test_a_configuration_that_is_no_mapping_is_told():
    with pytest.raises(ConfigError, match="expected a section of options"):
        complete([])  # type: ignore[arg-type]


def test_a_stand_alone_job_needs_what_it_reads_only():
    given = {"job": "rebalance", "campaign": "alone", "particles": "data.star"}
    config = complete(given)
    assert config["filter_resolution"] is None and not any(config["runs"].values())
    assert complete(config) == config
    assert complete(given | {"masks": {"solvent": "mask.mrc"}})["masks"]["solvent"] == "mask.mrc"
    with pytest.raises(ConfigError, match="masks.near: found 12.0, expected nothing"):
        complete(given | {"masks": {"near": 12}})
    with pytest.raises(ConfigError, match="filter_resolution: missing"):
        complete(given | {"job": "campaign"})


def test_every_option_says_what_it_means_and_refuses_unknown_names():
    for name, option in options(load_schema()):
        assert option.get("description", "").endswith("."), name
        if "object" in option.get("type", ""):
            assert option["additionalProperties"] is False, name


def test_the_demo_shows_every_option_with_its_default():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    text = (ROOT / "config.yaml").read_text()
    shown = complete(config)
    demo_only = {"campaign", "particles", "filter_resolution", "n_classes", "seeds", "name", "path"}
    for name, option in options(load_schema()):
        value, last = config, name.split(".")[-1]
        for part in name.split("."):
            if value is None:
                # A section that the demo leaves out is shown as a comment.
                assert f"  #   {last}: " in text, f"config.yaml lacks {name}"
                break
            assert part in value, f"config.yaml lacks {name}"
            value = value[part]
        if option.get("type") not in ("object", ["object", "null"]):
            assert option["description"].rstrip(".") in text, f"meaning of {name}"
        if "default" in option and last not in demo_only and not isinstance(value, dict):
            assert value in (None, option["default"]), name
    assert shown == config
