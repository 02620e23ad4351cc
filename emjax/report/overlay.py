"""Pictures of maps with what is drawn over them: a scale bar in Å and the outlines of masks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import floor, log10

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from emjax.report.raster import png_uri, shrink, slices_at

DIRECTIONS = ("along z", "along y", "along x")
LONGEST_BAR = 0.3  # of a picture's width
OUTLINE_BOX = 64  # masks are averaged down to it before they are outlined
MASK_NAMES = {"solvent": "solvent mask", "focus": "focus mask"}

Volume = Float[np.ndarray, "d d d"]


@dataclass(frozen=True)
class Cut:
    """A picture as a data URI, what stands beneath it, and what is drawn over it."""

    name: str
    image: str
    over: Markup


def bar_length(width: float) -> float:
    """The longest of 1, 2, 5, 10, … Å that leaves most of a picture of this width (Å) free."""
    power = 10.0 ** floor(log10(LONGEST_BAR * width))
    return max(m * power for m in (1, 2, 5) if m * power <= LONGEST_BAR * width)


def scale_bar(width: float) -> Markup:
    """A bar with its length for a picture `width` Å wide, whatever its size on the page."""
    length = bar_length(width)
    return Markup('<span class="bar" style="width:{:.2f}%">{:g} Å</span>').format(
        100 * length / width, length
    )


def outline(cut: Float[np.ndarray, "h w"], level: float = 0.5) -> str:
    """Path of the line where a slice crosses a level, in pixels of the slice.

    Source: marching squares, linear along the sides of each square of four pixels.
    """
    corners = cut[:-1, :-1], cut[:-1, 1:], cut[1:, 1:], cut[1:, :-1]
    places = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    ends = [(side, (side + 1) % 4) for side in range(4)]
    above = np.stack(corners) > level
    crossed = above != np.roll(above, -1, axis=0)
    pixels = np.moveaxis(np.indices(corners[0].shape), 0, -1) + 0.5
    points: list[np.ndarray] = []
    for a, b in ends:
        step = corners[b] - corners[a]
        part = (level - corners[a]) / np.where(step == 0, 1, step)
        points.append(pixels + places[a] + part[..., None] * (places[b] - places[a]))
    saddle = crossed.all(axis=0)
    path = []
    for i, j in combinations(range(4), 2):
        joined = crossed[i] & crossed[j] & (~saddle | ((i, j) in ((0, 1), (2, 3))))
        for (y0, x0), (y1, x1) in zip(points[i][joined], points[j][joined], strict=True):
            path.append(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")
    return "".join(path)


class Overlays:
    """Scale bar and outlines of the masks over slices of maps that share a box."""

    def __init__(self, masks: Mapping[str, Volume], box_size: int, voxel_size: float) -> None:
        """Masks (0..1) by a name of `MASK_NAMES`; box and voxel size (Å) of the maps."""
        self._bar = scale_bar(box_size * voxel_size)
        self._box_size, self._voxel_size = box_size, voxel_size
        self._step = -(-box_size // OUTLINE_BOX)
        # A mask of everything has no outline.
        self._masks = {
            name: shrink(mask, OUTLINE_BOX)
            for name, mask in masks.items()
            if mask.min() < 0.5 < mask.max()
        }

    @property
    def names(self) -> dict[str, str]:
        """Which masks are outlined, by the class of their lines, in words."""
        return {name: MASK_NAMES[name] for name in self._masks}

    def cuts(
        self, voxel: tuple[int, int, int], images: Iterable[np.ndarray], names: Sequence[str]
    ) -> list[Cut]:
        """The three slices through a voxel, given as uint8 images, with their overlays."""
        lines = [self._lines(voxel, axis) for axis in range(3)]
        return [
            Cut(name, png_uri(image), self._bar + line)
            for name, image, line in zip(names, images, lines, strict=True)
        ]

    def places(self, voxel: tuple[int, int, int]) -> list[str]:
        """Names of the three slices through a voxel with their distance from the box's centre."""
        away = [(v - self._box_size // 2) * self._voxel_size for v in voxel]
        return [f"{d}, {a:+.0f} Å" for d, a in zip(DIRECTIONS, away, strict=True)]

    def _lines(self, voxel: tuple[int, int, int], axis: int) -> Markup:
        z, y, x = (v // self._step for v in voxel)
        paths = Markup()
        for name, mask in self._masks.items():
            path = outline(slices_at(mask, (z, y, x))[axis])
            paths += Markup('<path class="{}" d="{}"/>').format(name, path)
        if not paths:
            return paths
        width = f"{self._box_size / self._step:g}"
        frame = '<svg viewBox="0 0 {0} {0}" aria-hidden="true">{1}</svg>'
        return Markup(frame).format(width, paths)
