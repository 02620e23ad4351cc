"""Which particles a campaign's folder holds results of, so that other ones do not replace them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from emjax.campaign.alone import CAMPAIGN
from emjax.campaign.folder import CampaignFolder


def checksum_of(particles: str | Path) -> str | None:
    """SHA-256 of a particle file, or of a RELION job's; None where there is none."""
    path = Path(particles)
    try:
        if path.is_dir():
            from emjax.io.star.relion import job_particles  # with SciPy, which few need here

            path = job_particles(path)
        stream = path.open("rb")
    except (OSError, ValueError):
        return None
    with stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def held(folder: CampaignFolder) -> dict[str, Any] | None:
    """`particles`, `n_particles` and `checksum` of what a campaign's folder was made from."""
    try:
        prepared, record = folder.prepare.facts, folder.record
        if prepared.exists():
            facts = json.loads(prepared.read_text(encoding="utf-8"))
            return {name: facts[name] for name in ("particles", "n_particles", "checksum")}
        if record.exists():
            facts = json.loads(record.read_text(encoding="utf-8"))
            known = {"n_particles": facts["n_particles"], "checksum": facts["input_checksum"]}
            known["checksum"] = known["checksum"] or ""
            return {"particles": facts["config"]["particles"]} | known
    except (ValueError, KeyError, OSError):
        return None  # of no known form: nothing can be said
    return None


def _job_of(folder: CampaignFolder) -> str | None:
    """Of what a folder holds the finished results: a campaign, or a stand-alone job."""
    try:
        record = json.loads(folder.record.read_text(encoding="utf-8"))
        return record["config"].get("job", CAMPAIGN)
    except (ValueError, KeyError, AttributeError, OSError):
        return None


def other_particles(particles: str, folder: CampaignFolder, job: str = CAMPAIGN) -> str | None:
    """Why a folder is not one of these particles or this job; None where it is, or is new.

    A file edited in place is the same input, which Snakemake runs again; one that only moved too.
    """
    made = _job_of(folder)
    if made and made != job:
        return f"{folder.path} holds the results of a {made}, found job: {job}; give another name"
    before = held(folder)
    if before is None or Path(before["particles"]).absolute() == Path(particles).absolute():
        return None
    now = checksum_of(particles)
    if now and now == before["checksum"]:
        return None
    found = f"checksum {now[:12]}" if now else "which is not there"
    return (
        f"{folder.path} holds a campaign of {before['particles']}"
        f" ({before['n_particles']} particles, checksum {before['checksum'][:12]}),"
        f" found {particles} ({found}); give the new one"
        f" another `campaign` name or remove {folder.path}"
    )
