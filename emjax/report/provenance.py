"""Where the numbers come from: versions, checksums, seeds, options, time and memory."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np

from emjax.campaign.alone import job_of, reads
from emjax.campaign.settings import load_schema
from emjax.report.campaign import Campaign
from emjax.report.endings import ended_by
from emjax.report.figure import plural
from emjax.report.svg import number

RUN_COLUMNS = {
    "run": "Run",
    "method": "Method",
    "n_classes": "Classes",
    "seed": "Seed",
    "iterations": "Iterations",
    "converged": "Ended by",
    "log_likelihood": "Log-likelihood per particle",
    "seconds": "Seconds (share of its job)",
    # Of label files alone:
    "assigned": "Particles",
    "joined_on": "Found by",
    "labels": "Labels",
}
MOST_ROWS = 200


def facts(campaign: Campaign) -> list[tuple[str, str]]:
    """Versions, checksums and devices of the campaign."""
    prepared = campaign.preparation
    metrics = list(campaign.metrics.values())
    record = campaign.json(campaign.folder.record)
    versions = record.get("versions", {})
    made = [prepared, *metrics] if prepared or metrics else [record]
    rows = [
        ("Name", campaign.name),
        ("Particles", str(campaign.config.get("particles", ""))),
        ("Finished", str(record.get("finished", "")).replace("T", " ").replace("+00:00", " UTC")),
        ("emjax", _version(made, record)),
        ("Other programs", ", ".join(f"{k} {v}" for k, v in versions.items() if k != "emjax")),
        ("Input checksum", _distinct(made, "input_checksum", "checksum")),
        ("Devices of the runs", _distinct(metrics, "devices", "device")),
        ("Machine that wrote this", _machine(record.get("machine", {}))),
        ("Half-sets", _half_sets(campaign)),
        ("Box in the file", _with_unit(prepared, "box_size", "px", "pixel_size")),
        ("Box while classifying", _with_unit(prepared, "cropped_box_size", "px", "voxel_size")),
    ]
    return [(name, value) for name, value in rows if value]


def command(campaign: Campaign) -> str:
    """What repeats it, typed where its results folder is; empty where there is no record."""
    record = campaign.folder.record
    if not record.exists():
        return ""
    return f"emjax reproduce {shlex.quote(record.relative_to(campaign.folder.base).as_posix())}"


def _version(made: list[dict], record: dict[str, Any]) -> str:
    commit = record.get("commit")
    return _distinct(made, "emjax_version") + (f", commit {commit}" if commit else "")


def _machine(found: dict[str, Any]) -> str:
    parts = [found.get("processor"), found.get("system")]
    if "cores" in found:
        parts.insert(1, plural(int(found["cores"]), "core"))
    if "memory_gb" in found:
        parts.append(f"{found['memory_gb']:g} GB")
    return ", ".join(str(part) for part in parts if part)


def _half_sets(campaign: Campaign) -> str:
    """Whether the half-sets came with the particles or were drawn by the preparation."""
    prepared = campaign.preparation
    if "half_sets_given" not in prepared:
        return ""
    drawn = prepared["n_particles"] - prepared["half_sets_given"]
    if not drawn:
        return "from the particle file"
    seed = campaign.config.get("split_seed", 0)
    return f"of {plural(drawn, 'particle')} drawn at random (split_seed {seed}): the file has none"


def _distinct(records: list[dict], *names: str) -> str:
    found = [r[n] for r in records for n in names if n in r]
    texts = [", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in found]
    return "; ".join(dict.fromkeys(texts))


def _with_unit(record: dict, size: str, unit: str, pixel: str) -> str:
    if size not in record:
        return ""
    text = f"{record[size]} {unit}"
    return f"{text} of {float(record[pixel]):.4g} Å" if pixel in record else text


def options(config: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Dotted name, value, and meaning with its unit; of a stand-alone job, what it reads."""
    job, meanings = job_of(config), dict(_meanings(load_schema(), ""))
    return [
        (name, value, meanings.get(name, ""))
        for name, value in _flatten(config, "")
        if reads(job, name)
    ]


def _meanings(schema: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Descriptions of the options, by dotted name."""
    if name and "description" in schema:
        yield name, str(schema["description"])
    inner = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    for part in inner:
        for key, value in part.get("properties", {}).items():
            yield from _meanings(value, f"{name}.{key}" if name else key)


def _flatten(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, default=str, ensure_ascii=False)


def run_table(campaign: Campaign) -> tuple[list[str], list[list[str]]]:
    """runs.tsv for reading."""
    table = campaign.runs
    present = [c for c in RUN_COLUMNS if c in table]
    rows = []
    for _, row in table.head(MOST_ROWS).iterrows():
        cells = [_cell(c, row[c]) for c in present]
        if "converged" in present and (how := ended_by(campaign.metrics.get(str(row["run"]), {}))):
            cells[present.index("converged")] = how
        if present[0] == "run":
            cells[0] = campaign.run_link(cells[0], cells[0])
        rows.append(cells)
    return [RUN_COLUMNS[c] for c in present], rows


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and np.isnan(value):
        return ""
    if name == "log_likelihood" and isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "yes" if value else "no"
    return number(float(value)) if isinstance(value, int | float) and name != "seed" else str(value)


def times(campaign: Campaign) -> list[list[str]]:
    """Time and memory of every job that was measured, and their sum, from campaign.json."""
    measured = campaign.json(campaign.folder.record).get("rules", {})
    if not measured:
        return []
    names = ("seconds", "cpu_seconds", "max_rss_mb")
    values = np.array([[row.get(name) for name in names] for row in measured.values()], float)
    together = [*np.nansum(values[:, :2], axis=0), np.fmax.reduce(values[:, 2])]
    rows = zip([*measured, "together"], [*values.tolist(), together], strict=True)
    return [[name, *(_rounded(v) for v in found)] for name, found in rows]


def _rounded(value: float) -> str:
    """A measured time or size, without digits that the next run would change."""
    return number(round(value, 1 if value < 100 else None)) if np.isfinite(value) else "–"
