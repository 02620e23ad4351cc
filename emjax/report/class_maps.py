"""Maps of the consensus classes in pictures: slices, differences from their mean, surfaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import label

from emjax.imaging.masks import resample_mask
from emjax.io.mrc.volume import read_volume
from emjax.report.campaign import Campaign
from emjax.report.columns import column
from emjax.report.figure import percent
from emjax.report.overlay import Cut, Overlays
from emjax.report.quality import class_resolution
from emjax.report.raster import (
    centre_of_mass,
    diverging,
    full_colour,
    grey,
    lowpass,
    match_box,
    shrink,
    slices_at,
    strongest_voxel,
)
from emjax.report.surfaces import PART, extent, surface

WIDEST = 128  # maps wider than this are averaged down before anything is drawn
ALONE = 0.06  # share of the box that a surface encloses where no mask says more
NOISE = 5.0  # standard deviations below which a difference is noise

Volume = Float[np.ndarray, "d d d"]


@dataclass(frozen=True)
class Change:
    """The strongest difference of a class from the mean of all.

    Attributes:
        value: there, in the map's units; negative where the class has less density.
        size: Å³ of the connected part that is at least half as strong.
        share: of the highest density of the mean.
        noise: standard deviations of the noise; NaN without half-maps.
    """

    value: float
    size: float
    share: float
    noise: float

    @property
    def above_noise(self) -> bool:
        """Whether it is a difference at all, as far as can be known."""
        return not self.noise < NOISE


@dataclass(frozen=True)
class ClassPictures:
    """Pictures of a class."""

    slices: list[Cut]
    differences: list[Cut]
    surfaces: list[Cut]  # from the front and from behind
    volume: dict[str, Any]  # decimated, for the 3D look
    change: Change | None = None

    @property
    def strength(self) -> str:
        """How strong its strongest difference is."""
        if self.change is None or not np.isfinite(self.change.share):
            return ""
        return f"{percent(self.change.share, 1)} of the highest density"


@dataclass(frozen=True)
class Shown:
    """Pictures of all classes by number, and what they share.

    Attributes:
        filtered: resolution (Å) of the differences, in words.
        scale, part: what full colour means, and from what on differences are surfaces.
        masks: those that are outlined, in words.
    """

    classes: dict[int, ClassPictures]
    filtered: str = ""
    scale: str = ""
    part: str = ""
    masks: Mapping[str, str] = field(default_factory=dict)

    @property
    def compared(self) -> bool:
        """Whether there are differences."""
        return bool(self.scale)


class ClassMaps:
    """Maps of the consensus classes on one box, and what they are compared with."""

    def __init__(self, campaign: Campaign) -> None:
        """Reads nothing yet."""
        self._campaign = campaign

    def shown(self) -> Shown:
        """Pictures of every class that has a map; differences on one scale."""
        if not self._maps:
            return Shown({})
        if not self._campaign.representatives.empty:
            maps = self._maps.items()
            return Shown({c: self._alone(v) for c, v in maps if np.ptp(v) > 0})
        densest = float((self._mean * self._mask).max())
        peaks = {c: float(np.abs(gap).max()) for c, gap in self._gaps.items()}
        # What is noise must not set the scale of what is none.
        clear = [peak for c, peak in peaks.items() if not peak < NOISE * self._noise.get(c, 0.0)]
        most = full_colour(max(clear or peaks.values()), densest)
        overlays = Overlays(self._masks, self._box_size, self._voxel_size)
        place = self._masks.get("focus", self._mask if self._bounded else self._mean)
        middle = centre_of_mass(place)
        slices = {c: slices_at(v, middle) for c, v in self._maps.items()}
        everything = np.concatenate([s.ravel() for group in slices.values() for s in group])
        low, high = (float(q) for q in np.quantile(everything, [0.01, 0.997]))
        inside = 0.35 * float(self._mask.mean()) if self._bounded else ALONE
        window = max(extent(v * self._mask, inside) for v in self._smooth.values())
        found = {}
        for c, gap in self._gaps.items():
            change = self._change(c, densest)
            at = strongest_voxel(gap)
            colours = [diverging(s, most) for s in slices_at(gap, at)]
            found[c] = ClassPictures(
                overlays.cuts(
                    middle, [grey(s, low, high) for s in slices[c]], overlays.places(middle)
                ),
                overlays.cuts(at, colours, overlays.places(at)) if len(self._maps) > 1 else [],
                *surface(
                    self._smooth[c] * self._mask, gap / most, inside, window, self._voxel_size
                ),
                change if len(self._maps) > 1 else None,
            )
        filtered = f"{self._limit:.0f} Å" if np.isfinite(self._limit) else ""
        if len(found) < 2:
            return Shown(found, filtered, masks=overlays.names)
        scale, part = percent(most, densest), percent(PART * most, densest)
        return Shown(found, filtered, scale, part, overlays.names)

    @cached_property
    def _read(self) -> dict[int, tuple[Volume, float]]:
        campaign = self._campaign
        found = [(c, campaign.volume(campaign.class_map(c))) for c in campaign.class_numbers]
        maps = {c: item for c, item in found if item is not None}
        # Representatives may come from runs of several boxes.
        first = next(iter(maps.values()), None)
        return {c: m for c, m in maps.items() if first and m[0].shape == first[0].shape}

    @cached_property
    def _maps(self) -> dict[int, Volume]:
        return {c: shrink(v, WIDEST).astype(np.float32) for c, (v, _) in self._read.items()}

    @property
    def _box_size(self) -> int:
        return len(next(iter(self._maps.values())))

    @cached_property
    def _voxel_size(self) -> float:
        volume, voxel_size = next(iter(self._read.values()))
        return voxel_size * -(-len(volume) // WIDEST)

    @cached_property
    def _masks(self) -> dict[str, Volume]:
        """The solvent and the focus mask on the box of the maps, those that there are."""
        campaign = self._campaign
        alone = campaign.job == "reconstruct"
        prepared = campaign.folder.reconstruct if alone else campaign.folder.prepare
        given = campaign.volume(prepared.solvent_mask)
        found = {} if given is None else {"solvent": match_box(given[0], self._box_size)}
        if (campaign.config.get("masks") or {}).get("focus"):
            paths = [campaign.folder.run(name).focus_mask for name in campaign.run_names()]
            for path in [path for path in paths if path.exists()][:1]:
                found["focus"] = resample_mask(read_volume(path)[0], self._box_size)
        return found

    @cached_property
    def _mask(self) -> Volume:
        return self._masks.get("solvent", np.ones((self._box_size,) * 3, np.float32))

    @property
    def _bounded(self) -> bool:
        """Whether the mask says where the particle is."""
        return bool(self._mask.min() < 0.5)

    @cached_property
    def _limit(self) -> float:
        """Resolution (Å) of the worst class."""
        found = [float("nan")]
        for c in self._campaign.class_numbers:
            table = self._campaign.table(self._campaign.maps.class_fsc(c))
            frequency, fsc = column(table, "frequency_per_angstrom"), column(table, "fsc")
            if frequency is not None and fsc is not None:
                value, falls = class_resolution(frequency, fsc)
                if falls and value < 1 / frequency[0]:
                    found.append(value)
        return float(np.nanmax(found)) if len(found) > 1 else found[0]

    @cached_property
    def _smooth(self) -> dict[int, Volume]:
        return {c: self._lowpass(v) for c, v in self._maps.items()}

    def _lowpass(self, volume: Volume) -> Volume:
        # Fifty maps of full width fill gigabytes in double precision.
        return lowpass(volume, self._voxel_size, self._limit).astype(np.float32)

    @cached_property
    def _weights(self) -> dict[int, float]:
        sizes = self._campaign.by_class("size")
        found = {c: max(sizes.get(c, 1.0), 1.0) for c in self._maps}
        return {c: size / sum(found.values()) for c, size in found.items()}

    def _average(self, maps: Mapping[int, Volume]) -> Volume:
        mean = np.zeros((self._box_size,) * 3, np.float32)
        for c, volume in maps.items():
            mean += self._weights[c] * volume
        return mean

    @cached_property
    def _mean(self) -> Volume:
        return self._average(self._smooth)

    @cached_property
    def _gaps(self) -> dict[int, Volume]:
        return {c: (v - self._mean) * self._mask for c, v in self._smooth.items()}

    @cached_property
    def _noise(self) -> dict[int, float]:
        """Standard deviation of each difference's noise, by the difference of the half-maps."""
        halves = {}
        for c in self._maps:
            paths = [self._campaign.maps.class_map(c, f"half{h}") for h in (1, 2)]
            if not all(path.exists() for path in paths):
                return {}
            first, second = (read_volume(path)[0] for path in paths)
            halves[c] = self._lowpass(shrink((first - second) / 2, WIDEST))
        mean, room = self._average(halves), float((self._mask**2).sum())
        return {
            c: float(np.sqrt((((v - mean) * self._mask) ** 2).sum() / room))
            for c, v in halves.items()
        }

    def _change(self, c: int, densest: float) -> Change:
        """The strongest difference of a class."""
        gap = self._gaps[c]
        at = strongest_voxel(gap)
        value = float(gap[at])
        pieces = np.empty(gap.shape, np.int32)
        label(np.sign(value) * gap >= abs(value) / 2, output=pieces)
        voxels = int((pieces == pieces[at]).sum()) if value else 0
        share = abs(value) / densest if densest > 0 else float("nan")
        noise = abs(value) / self._noise[c] if self._noise.get(c) else float("nan")
        return Change(value, voxels * self._voxel_size**3, share, noise)

    def _alone(self, volume: Volume) -> ClassPictures:
        """Pictures on a scale of their own: maps of several runs do not compare."""
        middle = centre_of_mass(volume)
        slices = slices_at(volume, middle)
        low, high = (float(q) for q in np.quantile(np.stack(slices), [0.01, 0.997]))
        overlays = Overlays({}, self._box_size, self._voxel_size)
        cuts = overlays.cuts(middle, [grey(s, low, high) for s in slices], overlays.places(middle))
        window = extent(volume, ALONE)
        same = np.zeros_like(volume)
        drawn = surface(volume, same, ALONE, window, self._voxel_size, common=False)
        return ClassPictures(cuts, [], *drawn)
