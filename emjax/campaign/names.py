"""Names of runs, built and parsed in one place, such as em3d-K04-s000 and som-7x7-s000."""

import re
from dataclasses import dataclass
from math import prod

EXTERNAL = "ext"
_OF_CLASSES = re.compile(r"([a-z0-9]+)-K(\d+)-s(\d+)")
_OF_MAP = re.compile(r"([a-z0-9]+)-(\d+)x(\d+)-s(\d+)")


@dataclass(frozen=True)
class RunName:
    """A run by the prefix of its method, the number of its classes, and its seed.

    A subspace run counts the optima that were kept instead of seeds. A run of another program has
    only its `label`.
    """

    prefix: str
    n_classes: int | None = None
    seed: int | None = None
    shape: tuple[int, int] | None = None  # columns and rows of a map
    label: str = ""

    @classmethod
    def of_map(cls, prefix: str, shape: tuple[int, int], seed: int) -> "RunName":
        """A run whose classes are the nodes of a map."""
        return cls(prefix, prod(shape), seed, shape)

    @classmethod
    def external(cls, label: str) -> "RunName":
        """A run of another program."""
        return cls(EXTERNAL, label=label)

    @classmethod
    def parse(cls, name: str) -> "RunName":
        """The run of a folder's name.

        Raises:
            ValueError: where it is no name of a run.
        """
        if name.startswith(f"{EXTERNAL}-"):
            return cls.external(name.removeprefix(f"{EXTERNAL}-"))
        if found := _OF_CLASSES.fullmatch(name):
            return cls(found[1], int(found[2]), int(found[3]))
        if found := _OF_MAP.fullmatch(name):
            return cls.of_map(found[1], (int(found[2]), int(found[3])), int(found[4]))
        raise ValueError(f"{name}: found no name of a run, expected one such as em3d-K04-s000")

    def __str__(self) -> str:
        """Its folder's name."""
        if self.prefix == EXTERNAL:
            return f"{EXTERNAL}-{self.label}"
        size = "{}x{}".format(*self.shape) if self.shape else f"K{self.n_classes:02d}"
        return f"{self.prefix}-{size}-s{self.seed:03d}"
