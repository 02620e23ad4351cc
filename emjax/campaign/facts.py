"""What the check of the input found: number, boxes and pixels of the particles."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from emjax.campaign.costs import Facts
from emjax.io.files import read_json, write_json


@dataclasses.dataclass(frozen=True)
class PreparedFacts:
    """Lengths in Å; everything that later stages need to know without reading the particles."""

    n_particles: int
    box_size: int
    pixel_size: float
    filter_resolution: float
    radius: int  # the highest frequency kept, in Fourier pixels
    cropped_box_size: int
    voxel_size: float  # of maps on the cropped box
    half_sets_given: int  # particles whose half-set the input names
    optics_groups: int
    particles: str
    checksum: str  # SHA-256 of the particle file
    emjax_version: str
    doubts: Sequence[str] = ()  # of the input, a sentence each, for the report

    @classmethod
    def read(cls, path: str | Path) -> "PreparedFacts":
        """From prepare.json."""
        return cls(**read_json(path))

    def write(self, path: str | Path) -> None:
        """As prepare.json."""
        write_json(path, dataclasses.asdict(self))


def read_size(path: str | Path) -> Facts:
    """What decides the cost of a campaign, from prepare.json."""
    found = json.loads(Path(path).read_text())
    return Facts(found["n_particles"], found["box_size"], found["radius"])
