"""A first configuration from a particle file: guesses to be looked over, every option explained."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emjax.campaign.alone import CAMPAIGN, job_of, reads
from emjax.campaign.settings import load_schema
from emjax.errors import InputError
from emjax.io.files import write_text
from emjax.io.particles.particle_set import ParticleSet, read_particles

HEAD = """\
# {kind} of emjax. Check it with `emjax check {name}`, run it with `emjax run {name}`.
# Lines that begin with # and a word (#scale: optimal) show the defaults. To change one, remove
# its #, and the # of the section it stands in.
"""
# What to show of options that have no default.
EXAMPLES: dict[str, Any] = {
    "runs.em3d.n_classes": [4, 6],
    "runs.em3d.seeds": 5,
    "runs.subspace.n_classes": [2, 3, 4, 5, 6],
    "runs.subspace.seeds": 1000,
    "runs.som.seeds": 5,
}
COARSEST = 12.0  # Å; where large domains and missing subunits show
SHELLS = 32  # of a class map, so that a pass over the data stays quick
FEW = 2000  # particles; too few for many classes
_COMMON = {"particles", "run_data", "data", "star", "extracted", "selected", "aligned"}


@dataclass(frozen=True)
class Draft:
    """Options that a particle file suggests, and why."""

    config: dict[str, Any]
    reasons: tuple[str, ...]


def draft_config(particles: str | Path) -> Draft:
    """Guess the options of a first campaign.

    Args:
        particles: `.star`, `.cs` or a RELION job folder; its stacks are looked for beside it too.

    Raises:
        InputError: where it is no particle file, or its stacks are nowhere near.
    """
    found, given = _read(Path(particles))
    extent, name = found.box_size * found.pixel_size, campaign_name(Path(particles))
    resolution = _resolution(found.box_size, found.pixel_size)
    n_classes = [2, 3] if found.n < FEW else EXAMPLES["runs.em3d.n_classes"]
    seeds, many = EXAMPLES["runs.em3d.seeds"], EXAMPLES["runs.subspace.seeds"]
    inside = EXAMPLES["runs.subspace.n_classes"]
    config = {"campaign": name, "particles": str(particles), "filter_resolution": resolution}
    runs = {"em3d": {"n_classes": n_classes, "seeds": seeds}}
    config |= given | {"runs": runs | {"subspace": {"n_classes": inside, "seeds": many}}}
    reasons = [
        f"{found.n} particles of {found.box_size} px at {found.pixel_size:g} Å",
        f"campaign: {name}, after the file",
        f"filter_resolution: {resolution} Å, where the box of {extent:.0f} Å has"
        f" {int(extent / resolution)} shells; finer where classes differ in small parts only",
        f"runs.em3d: {' and '.join(map(str, n_classes))} classes with {seeds} seeds, full maps",
        f"runs.subspace: {inside[0]} to {inside[-1]} classes of {many} seeds, in a basis that also"
        " settles and judges the consensus",
        *(f"{option}: {value}, without which it cannot be read" for option, value in given.items()),
    ]
    return Draft(config, tuple(reasons))


def write_config(path: str | Path, config: dict[str, Any]) -> None:
    """Write a configuration with every option explained; other files are never replaced.

    Raises:
        InputError: where there is such a file already.
    """
    if Path(path).exists():
        raise InputError(path, None, "a file that is there", "a new name (-o FILE)")
    write_text(path, config_text(path, config))


def config_text(path: str | Path, config: dict[str, Any]) -> str:
    """The text of a configuration: every option that its job reads, explained."""
    job = job_of(config)
    head = HEAD.format(kind="A campaign" if job == CAMPAIGN else f"The job {job}", name=path)
    return head + "\n".join(_section(load_schema(), config, "", 0, job)) + "\n"


def _read(path: Path) -> tuple[ParticleSet, dict[str, Any]]:
    """The particles, and the options without which they cannot be read."""
    first: InputError | None = None
    here = [*Path(os.path.abspath(path)).parents, *Path.cwd().parents]
    for root in [None, *dict.fromkeys(str(folder) for folder in here)]:
        for mixed in ("error", "resample"):
            try:
                found = read_particles(path, root, on_mixed_optics=mixed)
            except InputError as error:
                first = first or error
                continue
            given = {} if root is None else {"image_root": root}
            return found, given | ({"on_mixed_optics": mixed} if mixed != "error" else {})
        if "image stack" not in str(first):
            break
    assert first is not None
    raise first


def campaign_name(path: Path) -> str:
    """After the file, or after its folder where the file's own name says nothing."""
    path = path.absolute()
    stem = re.sub(r"^run(_ct\d+)?(_it\d+)?_data$", "run_data", path.stem)
    return as_name(path.parent.name if stem in _COMMON else stem)


def as_name(text: str) -> str:
    """Text with the characters that a name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-") or "campaign"


def _resolution(box_size: int, pixel_size: float) -> int | float:
    """Å: neither finer than half of Nyquist's frequency, nor than `SHELLS` shells of the box."""
    extent = box_size * pixel_size
    wanted = max(COARSEST, 4 * pixel_size, extent / SHELLS)
    # A box of few shells: at least five of them, never beyond Nyquist.
    wanted = max(min(wanted, extent / 5), extent / (box_size // 2 - 1))
    return math.ceil(wanted * 10) / 10 if wanted < 10 else math.ceil(wanted)


def _section(
    schema: dict[str, Any], given: dict[str, Any], place: str, depth: int, job: str
) -> list[str]:
    """Lines of a group of options: those given as they are, the others as comments."""
    lines = []
    for name, option in schema["properties"].items():
        inner, indent = f"{place}.{name}".lstrip("."), "  " * depth
        if not reads(job, inner):
            continue
        value, mark = given.get(name), "" if name in given else "#"
        if depth == 0:
            lines.append("")
        lines.append(f"{indent}# {option.get('description', name)}")
        if "properties" in option and not (name in given and value is None):
            lines.append(f"{indent}{mark}{name}:")
            lines += _section(option, value or {}, inner, depth + 1, job)
        else:
            value = value if name in given else option.get("default", EXAMPLES.get(inner))
            lines.append(f"{indent}{mark}{name}: {_plain(value)}")
    return lines


def _plain(value: Any) -> str:
    """A value as one writes it in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n...\n").strip()
