"""Particles to look at, each above the projection of its class's map."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.io.fields import FIT, MICROGRAPH_NAME
from emjax.io.mrc.header import read_header
from emjax.io.star.lists import read_lists
from emjax.report.campaign import Campaign
from emjax.report.figure import percent
from emjax.report.raster import grey, png_uri
from emjax.report.svg import number

GREYS = 1.0, 99.5  # percentiles of an image that are black and white
GROUPS = {
    "junk": (
        "No particle in the image (junk)",
        "From the worst fit to the one nearest to the threshold, beside the mean map. If the last "
        "ones look like particles, lower outliers.junk.",
    ),
    "pose": (
        "A particle at another pose (pose)",
        "From the worst fit to the one nearest to the threshold, beside the mean map at the pose "
        "of the particle file.",
    ),
    "between": (
        "Between classes (between)",
        "From the worst fit to the best, beside the mean map.",
    ),
    "least": (
        "Kept: those that fit least",
        "If these look like junk, raise outliers.junk.",
    ),
    "typical": ("Kept: typical particles of each class", "Of median fit in their class."),
}


@dataclass(frozen=True)
class Pair:
    """A particle's image and its projection as data URIs."""

    image: str
    projection: str
    name: str  # beneath the pictures
    tip: str
    words: str  # for those who cannot see them


@dataclass(frozen=True)
class Group:
    """Particles shown for one reason."""

    title: str
    note: str
    pairs: list[Pair]


def gallery(campaign: Campaign) -> list[Group]:
    """The groups that have particles to show; none where nothing was drawn."""
    folder = campaign.folder.outliers
    if not folder.gallery_list.exists():
        return []
    records = next(iter(read_lists(folder.gallery_list).values())).to_dict("records")
    images = np.asarray(read_header(folder.gallery).open(), np.float32)
    groups = []
    for name, (title, note) in GROUPS.items():
        # Every particle is followed by its projection.
        pairs = [
            _pair(record, images[row], images[row + 1])
            for row, record in enumerate(records)
            if record["emjaxGroup"] == name and record["emjaxPicture"] == "particle"
        ]
        groups += [Group(title, note, pairs)] if pairs else []
    return groups


def _pair(row: dict[Hashable, Any], image: np.ndarray, projection: np.ndarray) -> Pair:
    fit, c = float(row[FIT]), int(row["rlnClassNumber"])
    particle = f"particle {int(row['emjaxParticle']):,}"
    facts = [
        particle.capitalize(),
        f"class {c}" if c else "no class",
        f"fit {number(fit)} nats",
        f"fits with probability {_share(float(row['emjaxProbability']))}",
    ]
    if MICROGRAPH_NAME in row:
        facts.append(f"micrograph {row[MICROGRAPH_NAME]}")
    name = f"class {c}, fit {fit:.0f}" if c else f"fit {fit:.0f}"
    beside = f"the projection of class {c}" if c else "the projection of the mean map"
    return Pair(
        _picture(image), _picture(projection), name, ", ".join(facts), f"{particle} and {beside}"
    )


def _share(value: float) -> str:
    return f"{value:.2g}" if value < 0.01 else percent(value, 1)


def _picture(image: np.ndarray) -> str:
    low, high = np.percentile(image, GREYS)
    return png_uri(grey(image, float(low), float(high)))
