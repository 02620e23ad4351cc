"""A finished campaign run again from its record, and its labels compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from emjax.campaign.engine import run_snakemake, snakemake_command
from emjax.campaign.folder import CampaignFolder
from emjax.errors import InputError
from emjax.io.files import read_json, write_text
from emjax.io.labels.read import read_labels


def repeat_campaign(
    record: Path, arguments: Sequence[str] = (), *, profile: str | None = None
) -> CampaignFolder:
    """Run the campaign of a `campaign.json` again, under its name with `-again`.

    Args:
        record: `campaign.json` of the finished campaign.
        arguments: Snakemake's own.
        profile: as of `snakemake_command`.

    Returns:
        The new campaign's folder, below the current one.

    Raises:
        InputError: where it is no record, or the new campaign fails.
    """
    config = _read_record(record)["config"]
    folder = CampaignFolder.of(f"{config['campaign']}-again")
    write_text(
        folder.config,
        yaml.safe_dump(config | {"campaign": folder.path.name}, allow_unicode=True),
    )
    if code := run_snakemake(snakemake_command(folder.config, arguments, profile=profile)):
        found = f"an error (exit status {code}), see above"
        raise InputError(record, "running it again", found, "a finished campaign")
    return folder


def compare_campaigns(record: Path, again: CampaignFolder) -> list[tuple[str, bool]]:
    """Name of each run, and of the consensus, and whether its labels are the same in both."""
    old, same = CampaignFolder(record.parent), []
    for run in _read_record(record)["runs"]:
        pair = old.run(run["run"]).particles, again.run(run["run"]).particles
        same.append((f"runs/{run['run']}", _same_labels(*(file.star for file in pair))))
    if old.consensus.particles.star.exists():
        pair = old.consensus.particles, again.consensus.particles
        same.append(("consensus", _same_labels(*(file.star for file in pair))))
    else:
        # Of classes that were given alone: which particles are kept, of which superclass.
        kept = [folder.rebalance.kept.star.read_bytes() for folder in (old, again)]
        same.append(("rebalance", kept[0] == kept[1]))
    return same


def particles_changed(record: Path, again: CampaignFolder) -> bool:
    """Whether the particle file is another one than the record's."""
    checksums = {_read_record(path)["input_checksum"] for path in (record, again.record)}
    return len(checksums) > 1


def _read_record(path: Path) -> dict:
    if path.is_dir():
        raise InputError(path, None, "a folder", "the campaign.json in it")
    record = read_json(path)
    if not isinstance(record, dict) or not {"config", "runs", "input_checksum"} <= set(record):
        raise InputError(path, None, "another JSON file", "the campaign.json of a campaign")
    return record


def _same_labels(one: Path, other: Path) -> bool:
    return np.array_equal(read_labels(one)[1], read_labels(other)[1])
