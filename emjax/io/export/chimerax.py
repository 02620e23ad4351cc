"""Maps for ChimeraX, and scripts that show classes side by side and as a series."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.export.classes import ExportedClass, link_map
from emjax.io.files import write_text
from emjax.io.mrc.volume import read_volume, write_volume

# The contour encloses this part of the voxels, about a particle's share of its box.
_ENCLOSED = 0.03
_SHOWN_DIFFERENCE = 0.995


def export_chimerax(
    folder: str | Path, number: np.ndarray, classes: list[ExportedClass]
) -> list[Path]:
    """Maps as a series, their mean, and a script that shows them coloured by the difference."""
    folder = Path(folder)
    maps = [link_map(one.map, folder / f"class_{k:03d}.mrc") for k, one in enumerate(classes, 1)]
    sizes = np.array([(number == k).sum() for k in range(1, len(classes) + 1)])
    return [*maps, *write_chimerax(folder, maps, sizes)]


def write_chimerax(folder: Path, maps: list[Path], sizes: np.ndarray) -> list[Path]:
    """Write the mean map, difference maps, `classes.cxc` and `series.cxc` beside the class maps.

    `classes.cxc` shows them side by side, `series.cxc` one after the other. All maps share one
    contour level and one colour scale: red where a class has more density than the mean, blue where
    it has less.

    Args:
        folder: where the maps are.
        maps: of class 1, 2, …, all of one box.
        sizes: particles of each class.

    Returns:
        The files written.

    Raises:
        InputError: for maps of different boxes.
    """
    first, voxel_size = read_volume(maps[0])
    volumes = [first] + [read_volume(path, len(first))[0] for path in maps[1:]]
    weights = sizes / sizes.sum() if sizes.sum() else np.full(len(maps), 1 / len(maps))
    mean = np.zeros_like(first)
    for volume, weight in zip(volumes, weights, strict=True):
        mean += np.float32(weight) * volume
    written = [folder / "mean.mrc"]
    write_volume(written[0], mean, voxel_size)
    differences, widest = [], 0.0
    level = float(np.quantile(mean, 1 - _ENCLOSED))
    for path, volume in zip(maps, volumes, strict=True):
        difference = volume - mean
        name = path.name.replace("class_", "difference_")
        if name == path.name:
            raise InputError(path, None, path.name, "class_….mrc")
        differences.append(name)
        written.append(folder / name)
        write_volume(written[-1], difference, voxel_size)
        inside = np.abs(difference[mean > level / 2])
        widest = max(widest, float(np.quantile(inside, _SHOWN_DIFFERENCE)) if inside.size else 0)
    written.append(folder / "classes.cxc")
    write_text(written[-1], _script([p.name for p in maps], differences, sizes, level, widest))
    written.append(folder / "series.cxc")
    write_text(written[-1], _series([p.name for p in maps], level))
    return written


def _series(maps: list[str], level: float) -> str:
    # One map is no series to ChimeraX.
    series = " vseries true" if len(maps) > 1 else ""
    return "\n".join(
        [
            "# Classes one after the other; the slider goes from class to class.",
            "close session",
            "set bgColor white",
            f"open {' '.join(maps)}{series}",
            f"volume #1 style surface step 1 level {level:.6g}",
            *(["vseries play #1 loop true maxFrameRate 1"] if series else []),
            "lighting soft",
            "view",
            "",
        ]
    )


def _script(
    maps: list[str], differences: list[str], sizes: np.ndarray, level: float, widest: float
) -> str:
    count = len(maps)
    share = sizes / max(int(sizes.sum()), 1)
    scale = widest or 1.0
    lines = [
        "# Classes side by side; red: more density than the mean of all, blue: less.",
        "close session",
        "set bgColor white",
        f"open {' '.join(maps)}",
        f"open {' '.join(differences)}",
        f"hide #{count + 1}-{2 * count} models",
        f"volume #1-{count} style surface step 1 level {level:.6g}",
    ]
    palette = f"{-scale:.6g},#2166ac:0,#f7f7f7:{scale:.6g},#b2182b"
    for k in range(1, count + 1):
        lines.append(f'rename #{k} "class {k}: {sizes[k - 1]} particles, {share[k - 1]:.1%}"')
        lines.append(f"color sample #{k} map #{count + k} palette {palette}")
    lines += [f"tile #1-{count}", "lighting soft", "view", ""]
    return "\n".join(lines)
