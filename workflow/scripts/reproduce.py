"""Run a finished campaign again from its campaign.json, and compare the labels.

Usage: reproduce.py results/NAME/campaign.json [Snakemake's arguments]
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from emjax.errors import InputError
from emjax.io.files import read_json, write_text
from emjax.io.labels.read import read_labels


def main(source: Path, arguments: list[str]) -> int:
    """The number of runs whose labels differ; the consensus counts as one of them."""
    record = read_json(source)
    config = record["config"] | {"campaign": f"{record['config']['campaign']}-again"}
    path = Path("results") / config["campaign"] / "config.yaml"
    write_text(path, yaml.safe_dump(config, allow_unicode=True))
    command = [sys.executable, "-m", "snakemake", "--configfile", str(path), *arguments]
    if subprocess.run(command).returncode:
        raise InputError(source, "running it again", "an error, see above", "a finished campaign")
    again = read_json(path.parent / "campaign.json")
    if again["input_checksum"] != record["input_checksum"]:
        print("the particle file has changed since")
    different = 0
    for name in [*(f"runs/{run['run']}" for run in record["runs"]), "consensus"]:
        old, new = (
            read_labels(folder / name / "particles.star")[1]
            for folder in (source.parent, path.parent)
        )
        same = np.array_equal(old, new)
        different += not same
        print(f"{name}: {'the same labels' if same else 'DIFFERENT labels'}")
    return different


if __name__ == "__main__":
    try:
        sys.exit(min(main(Path(sys.argv[1]), sys.argv[2:]), 1))
    except (InputError, IndexError) as error:
        sys.exit(f"error: {error}")
