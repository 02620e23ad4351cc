"""The consensus of a finished campaign, as files for other programs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.export.programs import FORMATS, ExportedClass, export_campaign
from emjax.io.files import read_tsv
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.star.relion import particle_keys
from emjax.io.star.tables import read_star
from emjax.resolution import resolution_at

_COLUMNS = (
    "rlnClassNumber",
    "rlnMaxValueProbDistribution",
    "emjaxStability",
    "emjaxClassPosterior",
)
_CLASS_MAP = re.compile(r"class_(\d{3})\.mrc")


def export_results(
    results: str | Path, particles: ParticleSet, formats: tuple[str, ...] = FORMATS
) -> list[Path]:
    """Write `export/` of a campaign from its `consensus/`.

    Args:
        results: `results/<campaign>`.
        particles: the campaign's input, read with its images.
        formats: any of `FORMATS`.

    Returns:
        The files written.

    Raises:
        InputError: when maps are missing or the consensus is one of other particles.
    """
    consensus = Path(results) / "consensus"
    table = read_star(consensus / "particles.star")["particles"]
    if not np.array_equal(particle_keys(table), particles.identity):
        expected = f"those of {particles.source.file}"
        raise InputError(table.file, None, "other particles or another order", expected)
    columns = {name: table.numbers(name) for name in _COLUMNS if name in table}
    # Half-sets as the exported half-maps have them, also where the input came without.
    for name in ("rlnClassNumber", "rlnRandomSubset"):
        if name in table:
            columns[name] = table.integers(name)
    classes = consensus_classes(consensus)
    return export_campaign(Path(results) / "export", particles, columns, classes, formats)


def consensus_classes(folder: str | Path) -> list[ExportedClass]:
    """The maps of a `consensus/` folder with half-maps, FSC and resolution.

    Raises:
        InputError: when there is no map, or their numbers have a gap.
    """
    folder = Path(folder)
    matches = (_CLASS_MAP.fullmatch(path.name) for path in folder.glob("class_*.mrc"))
    numbers = sorted(int(match[1]) for match in matches if match)
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        found = ", ".join(f"class_{k:03d}.mrc" for k in numbers) or "no map"
        raise InputError(folder, None, found, "class_001.mrc and so on without a gap")
    return [_class(folder / f"class_{k:03d}") for k in numbers]


def _class(stem: Path) -> ExportedClass:
    halves = tuple(stem.with_name(f"{stem.name}_half{h}.mrc") for h in (1, 2))
    fsc_path = stem.with_name(f"{stem.name}_fsc.tsv")
    fsc, resolution = None, 999.0
    if fsc_path.exists():
        table = read_tsv(fsc_path)
        # The table leaves out shell 0, where both halves agree by construction.
        fsc = np.concatenate([[1.0], table["fsc"].to_numpy(np.float64)])
        if len(table):
            resolution = resolution_at(fsc, float(table["resolution"].iloc[0]))
    both = halves[0].exists() and halves[1].exists()
    return ExportedClass(
        stem.with_name(f"{stem.name}.mrc"),
        (halves[0], halves[1]) if both else None,
        resolution,
        fsc,
    )
