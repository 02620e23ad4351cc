"""The classes of a run in pictures: slices, and differences from its mean and the consensus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from emjax.campaign.folder import ConsensusFolder, RunFolder
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask
from emjax.io.mrc.volume import read_volume
from emjax.report.campaign import Campaign
from emjax.report.columns import column
from emjax.report.figure import percent
from emjax.report.overlay import Cut, Overlays
from emjax.report.quality import curves_of_run
from emjax.report.raster import diverging, full_colour, grey, slices_at, strongest_voxel

Volume = Float[np.ndarray, "d d d"]
Pictures = Sequence[Cut]


@dataclass(frozen=True)
class ClassPictures:
    """Slices through the middle of a class, and through its strongest differences."""

    slices: Pictures
    from_mean: Pictures
    from_consensus: Pictures
    mean_strength: str  # of the strongest difference, in words
    consensus_strength: str
    reference: str  # what it is compared with in the consensus


@dataclass(frozen=True)
class RunPictures:
    """Those of all classes, by number."""

    classes: dict[int, ClassPictures]
    scale: str  # what full colour means in every difference
    masks: Mapping[str, str]  # those that are outlined, in words
    regularised: str  # by whose FSC, in words
    part: str = ""  # surfaces are not drawn


def wiener_weights(
    frequency: Float[np.ndarray, " s"], fsc: Float[np.ndarray, " s"], box_size: int, extent: float
) -> Float[np.ndarray, "d d h"]:
    """Signal fraction 2·FSC/(1+FSC) of each coefficient of a real transform, 1 at the origin.

    Args:
        frequency: of the shells, in 1/Å, rising.
        fsc: of a class's half-maps in them.
        box_size: of the map.
        extent: length of the box in Å.

    Source: Scheres, J. Mol. Biol. 415 (2012) 406, with FSC_full = 2·FSC/(1+FSC).
    """
    full = np.array([2 * max(f, 0.0) / (1 + max(f, 0.0)) for f in fsc])
    axis, half = np.fft.fftfreq(box_size), np.fft.rfftfreq(box_size)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2) * box_size / extent
    return np.interp(radius, np.r_[0.0, frequency], np.r_[1.0, full], right=0.0)


def regularised_difference(
    volume: Volume, reference: Volume, weights: Float[np.ndarray, "d d h"], mask: Volume
) -> Volume:
    """What a map has more than a reference, filtered by `wiener_weights`, inside a mask."""
    spectrum = np.fft.rfftn(volume - reference) * weights
    return np.fft.irfftn(spectrum, volume.shape, axes=(0, 1, 2)) * mask


class ConsensusMaps:
    """Maps of the consensus classes on the box of the runs, each read once.

    They are means of the half-maps, which nothing has filtered.
    """

    def __init__(self, folder: ConsensusFolder) -> None:
        """Reads nothing yet."""
        self._folder = folder
        self._maps: dict[tuple[int, int], Volume | None] = {}

    def __call__(self, number: int, box_size: int) -> Volume | None:
        """Map of a class; None where there is none."""
        if (number, box_size) not in self._maps:
            mean = mean_of_halves(self._folder, number)
            self._maps[number, box_size] = None if mean is None else resample(mean, box_size)
        return self._maps[number, box_size]


def mean_of_halves(folder: ConsensusFolder | RunFolder, number: int) -> Volume | None:
    """Mean of the half-maps of a class; None where it has none."""
    paths = [folder.class_map(number, part) for part in ("half1", "half2")]
    if not all(path.exists() for path in paths):
        return None
    first, second = (read_volume(path)[0] for path in paths)
    return (first + second) / 2


class RunMaps:
    """Maps of a run's classes and what they are compared with."""

    def __init__(
        self, campaign: Campaign, name: str, consensus: ConsensusMaps, partners: Mapping[int, int]
    ) -> None:
        """The run, and the consensus class (from 1; 0: none) that each of its classes is."""
        self._campaign, self._folder = campaign, campaign.folder.run(name)
        self._consensus, self._partners = consensus, partners
        self._curves = curves_of_run(campaign, name)

    @cached_property
    def _maps(self) -> dict[int, Volume]:
        paths = {int(path.stem[-3:]): path for path in self._folder.class_maps()}
        return {number: read_volume(path)[0] for number, path in paths.items()}

    @cached_property
    def _voxel_size(self) -> float:
        return read_volume(self._folder.class_maps()[0])[1]

    @cached_property
    def _masks(self) -> dict[str, Volume]:
        """The solvent and the focus mask on the box of the run, those that there are."""
        box_size = len(next(iter(self._maps.values())))
        paths = {
            "solvent": self._campaign.folder.prepare.solvent_mask,
            "focus": self._folder.focus_mask,
        }
        return {
            name: resample_mask(read_volume(path)[0], box_size)
            for name, path in paths.items()
            if path.exists()
        }

    @cached_property
    def _mask(self) -> Volume:
        """Where the run's classes may differ."""
        box_size = len(next(iter(self._maps.values())))
        return np.prod([np.ones((box_size,) * 3, np.float32), *self._masks.values()], axis=0)

    @cached_property
    def _overlays(self) -> Overlays:
        return Overlays(self._masks, len(self._mask), self._voxel_size)

    def _weights(self, number: int) -> np.ndarray:
        """By the class's own FSC; where the run has none, by that of its consensus class."""
        table = self._curves.get(number)
        if table is None:
            consensus = self._campaign.folder.consensus
            table = self._campaign.table(consensus.class_fsc(self._partners.get(number, 0)))
        box_size = len(self._mask)
        frequency, fsc = column(table, "frequency_per_angstrom"), column(table, "fsc")
        if frequency is None or fsc is None or not len(fsc):
            return np.ones((box_size, box_size, box_size // 2 + 1))
        return wiener_weights(frequency, fsc, box_size, box_size * self._voxel_size)

    @cached_property
    def _compared(self) -> dict[int, Volume]:
        """What is compared: unfiltered means of the half-maps, or the maps where there are none."""
        halves = {number: mean_of_halves(self._folder, number) for number in self._maps}
        found = {number: volume for number, volume in halves.items() if volume is not None}
        return found if len(found) == len(self._maps) else self._maps

    def differences(self, sizes: Mapping[int, int]) -> tuple[dict[int, Volume], dict[int, Volume]]:
        """Regularised differences of each class from the run's mean and from the consensus.

        Args:
            sizes: particles of each class.
        """
        weights = [max(sizes.get(number, 0), 1e-6) for number in self._compared]
        mean = np.average(np.stack(list(self._compared.values())), axis=0, weights=weights)
        own, other = {}, {}
        for number, volume in self._compared.items():
            filters = self._weights(number)
            own[number] = regularised_difference(volume, mean, filters, self._mask)
            reference = self._consensus(self._partners.get(number, 0), len(volume))
            if reference is not None:
                other[number] = regularised_difference(volume, reference, filters, self._mask)
        return own, other

    def pictures(self, sizes: Mapping[int, int]) -> RunPictures | None:
        """Pictures of all classes, differences on one scale; None where the run has no maps."""
        if not self._maps:
            return None
        own, other = self.differences(sizes)
        densest = max(float((volume * self._mask).max()) for volume in self._maps.values())
        gaps = [*own.values(), *other.values()]
        strongest = max(float(np.abs(gap).max()) for gap in gaps)
        most = full_colour(strongest, densest)
        at = len(self._mask) // 2
        cuts = {number: slices_at(volume, (at, at, at)) for number, volume in self._maps.items()}
        low, high = np.quantile(
            np.concatenate([s.ravel() for c in cuts.values() for s in c]), [0.01, 0.997]
        )
        found = {}
        for number, slices in cuts.items():
            greys = [grey(s, float(low), float(high)) for s in slices]
            from_mean, mean_strength = self._difference(own.get(number), most, densest)
            from_consensus, strength = self._difference(other.get(number), most, densest)
            middle = at, at, at
            plain = self._overlays.cuts(middle, greys, self._overlays.places(middle))
            partner = self._partners.get(number, 0)
            alone = len(self._campaign.class_numbers) == 1
            reference = "the map of all particles" if alone else f"consensus class {partner}"
            found[number] = ClassPictures(
                plain, from_mean, from_consensus, mean_strength, strength, reference
            )
        return RunPictures(found, percent(most, densest), self._overlays.names, self._regularised)

    @property
    def _regularised(self) -> str:
        if self._curves:
            return "each filtered by the class's own FSC"
        return (
            "each filtered by the FSC of its consensus class, because the run has no half-maps (in "
            "the subspace a class of few particles lies nearer to the mean map than it should)"
        )

    def _difference(self, gap: Volume | None, most: float, densest: float) -> tuple[Pictures, str]:
        """Slices of a difference through its strongest voxel, and how strong it is there."""
        if gap is None:
            return [], ""
        at = strongest_voxel(gap)
        pictures = [diverging(s, most) for s in slices_at(gap, at)]
        cuts = self._overlays.cuts(at, pictures, self._overlays.places(at))
        return cuts, percent(abs(gap[at]), densest)
