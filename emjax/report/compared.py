"""Classes that were compared with each other, and what their affinities say in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from emjax.io.mrc.header import read_header
from emjax.report.campaign import Campaign
from emjax.report.columns import column
from emjax.report.raster import grey, png_uri
from emjax.report.svg import number

SHARP = 0.05  # between the affinities inside superclasses and those of two: less is no border
GREYS = 1.0, 99.5  # percentiles of a picture that are black and white


@dataclass(frozen=True)
class Classes:
    """What is known of classes that were compared.

    Attributes:
        affinity: of every two.
        superclass: of each, from 1; 0 has none.
        sizes: particles of each; NaN where unknown.
        pictures: data URIs; empty where there are none.
    """

    affinity: np.ndarray
    superclass: np.ndarray
    sizes: np.ndarray
    pictures: Sequence[str] = ()

    @classmethod
    def of(cls, campaign: Campaign) -> "Classes | None":
        """Those of a campaign or job; None where none were compared."""
        folder = campaign.folder.rebalance
        affinity, table = campaign.array(folder.affinity), campaign.table(folder.superclasses)
        if affinity is None or affinity.ndim != 2 or not len(affinity):
            return None
        superclass, sizes = column(table, "superclass"), column(table, "size")
        if superclass is None or len(superclass) != len(affinity):
            superclass, sizes = np.ones(len(affinity)), None
        pictures = (
            thumbnails(read_header(folder.thumbnails).open()) if folder.thumbnails.exists() else ()
        )
        return cls(
            np.asarray(affinity, float),
            superclass.astype(int),
            np.full(len(affinity), np.nan) if sizes is None else sizes,
            pictures,
        )

    @property
    def count(self) -> int:
        """Number of superclasses."""
        return len(set(self.superclass[self.superclass > 0].tolist()))

    @property
    def used(self) -> np.ndarray:
        """Classes that have a superclass, from 0; all where none has."""
        found = np.flatnonzero(self.superclass > 0)
        return found if len(found) else np.arange(len(self.affinity))

    def sorted(self) -> np.ndarray:
        """By superclass, within it the most similar ones side by side; those of none last."""
        order = list[int]()
        for superclass in range(1, int(self.superclass.max(initial=0)) + 1):
            members = np.flatnonzero(self.superclass == superclass)
            order += members[_by_similarity(self.affinity[np.ix_(members, members)])].tolist()
        return np.array([*order, *np.flatnonzero(self.superclass == 0)], int)

    def tip(self, k: int) -> str:
        """What a picture of a class says."""
        words = [f"Class {k + 1}"]
        if np.isfinite(self.sizes[k]):
            words.append(f"{number(self.sizes[k])} particles")
        s = self.superclass[k]
        words.append(f"superclass {s}" if s else "left out")
        others = self.affinity[k].copy()
        others[k] = -1
        if s and len(others) > 1:
            near = int(others.argmax())
            words.append(f"most similar to class {near + 1} ({others[near]:.2f})")
        return ", ".join(words)


def thumbnails(images: np.ndarray) -> list[str]:
    """Images as data URIs, each on its own intensity scale."""
    found = []
    for image in np.asarray(images, np.float32):
        low, high = np.percentile(image, GREYS)
        found.append(png_uri(grey(image, float(low), float(high))))
    return found


def superclass_title(classes: Classes) -> str:
    """How alike the classes of one superclass are, and those of two."""
    used, s = classes.used, classes.superclass[classes.used]
    pairs = np.triu_indices(len(used), 1)
    values = classes.affinity[np.ix_(used, used)][pairs]
    same = (s[:, None] == s)[pairs]
    if not len(values):
        return "One class is left to compare"
    if same.all():
        return f"One superclass: no group of classes stands out ({_span(values)} alike)"
    name = f"{classes.count} superclasses"
    if not same.any():
        return (
            f"Each class is a superclass of its own: no two are more than {values.max():.2f} alike"
        )
    inside, between = values[same].min(), values[~same].max()
    if inside - between >= SHARP:
        return (
            f"{name}: classes of one are {inside:.2f} alike or more, of two {between:.2f} or less"
        )
    return (
        f"{name} without a sharp border: the least alike two classes of one have {inside:.2f}, the "
        f"most alike two of different ones {between:.2f}"
    )


def _span(values: np.ndarray) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def extremes(classes: Classes) -> str:
    """The most and the least similar two of the classes that have a superclass."""
    used = classes.used
    a = classes.affinity[np.ix_(used, used)]
    if len(a) < 2:
        return "One class is left to compare"
    pairs = np.where(np.eye(len(a), dtype=bool), np.nan, a)
    i, j = used[list(np.unravel_index(int(np.nanargmin(pairs)), a.shape))]
    k, m = used[list(np.unravel_index(int(np.nanargmax(pairs)), a.shape))]
    title = f"Classes {k + 1} and {m + 1} are most similar ({classes.affinity[k, m]:z.2f})"
    if len(a) > 2:
        title += f", {i + 1} and {j + 1} least ({classes.affinity[i, j]:z.2f})"
    return title


def tree_of(affinity: np.ndarray) -> np.ndarray:
    """The joins of classes by mean affinity, SciPy's (n−1, 4), the most alike side by side."""
    distance = squareform(
        np.clip(1 - affinity, 0, None) * (1 - np.eye(len(affinity))), checks=False
    )
    return optimal_leaf_ordering(linkage(distance, "average"), distance)


def _by_similarity(affinity: np.ndarray) -> np.ndarray:
    return leaves_list(tree_of(affinity)) if len(affinity) > 2 else np.arange(len(affinity))
