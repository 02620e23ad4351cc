"""How RELION's and CryoSPARC's files write a field, and what their numbers mean in emjax's unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emjax.io.poses import euler_to_matrix, matrix_to_euler, matrix_to_pose, pose_to_matrix

Fields = Mapping[str, np.ndarray]
Convert = Callable[[np.ndarray, Fields], np.ndarray]


class Codec(NamedTuple):
    """How a file's numbers become emjax's, and back; both see the particles' other fields."""

    decode: Convert
    encode: Convert


def _as_it_is(values: np.ndarray, _: Fields) -> np.ndarray:
    return values


def _sign(values: np.ndarray, _: Fields) -> np.ndarray:
    return np.where(values < 0, -1, 1)


SAME = Codec(_as_it_is, _as_it_is)
SIGN = Codec(_sign, _as_it_is)
DEGREES = Codec(lambda v, _: np.deg2rad(v), lambda v, _: np.rad2deg(v))
EULER = Codec(lambda v, _: euler_to_matrix(v), lambda v, _: matrix_to_euler(v))
ROTATION_VECTOR = Codec(lambda v, _: pose_to_matrix(v), lambda v, _: matrix_to_pose(v))
PIXELS = Codec(
    lambda v, fields: v * fields["image_pixel_size"][:, None],
    lambda v, fields: v / fields["image_pixel_size"][:, None],
)
FROM_ZERO = Codec(lambda v, _: v + 1, lambda v, _: np.clip(v - 1, 0, 2**31))
# CryoSPARC's splits are 0 and 1; anything else is no half-set.
HALF = Codec(lambda v, _: np.where(v < 2, v + 1, 0), lambda v, _: np.maximum(v - 1, 0))
PROBABILITY = Codec(_as_it_is, lambda v, _: np.clip(v, 0, 1))
SQUARE = Codec(lambda v, _: v[:, 0], lambda v, _: np.stack([v, v], axis=1))


@dataclass(frozen=True)
class StarColumns:
    """A field in RELION's STAR files, one column per component."""

    labels: tuple[str, ...]
    codec: Codec = SAME
    dtype: str = "f8"
    """As written; text of single precision has no more digits than that."""
    digits: int | None = None
    """Decimals written."""
    optics: bool = False
    """Whether it stands in the optics table (RELION 3.1 and later)."""
    required: bool = True
    warn: bool = False
    """Whether a file without it is worth a warning."""
    pixels: tuple[str, ...] = ()
    """Labels of RELION 3.0 for the same in pixels."""

    def encode(self, values: np.ndarray, fields: Fields) -> dict[str, np.ndarray]:
        """The columns, as `format_column` writes them."""
        return self._columns(self.labels, self.codec.encode(values, fields), self.digits)

    def encode_pixels(self, values: np.ndarray, fields: Fields) -> dict[str, np.ndarray]:
        """The columns of RELION 3.0."""
        return self._columns(self.pixels, PIXELS.encode(values, fields), 7)

    def _columns(
        self, labels: tuple[str, ...], values: np.ndarray, digits: int | None
    ) -> dict[str, np.ndarray]:
        values = (values if digits is None else np.round(values, digits)).astype(self.dtype)
        return dict(zip(labels, values.reshape(len(values), len(labels)).T, strict=True))


@dataclass(frozen=True)
class CsColumn:
    """A field in CryoSPARC's `.cs` tables."""

    name: str
    dtype: str = "<f4"
    width: int | None = None
    """Components; None: one number per particle."""
    codec: Codec = SAME
    digits: int | None = None
    """Decimals read: stored as float32, 0.07 should not become 0.07000000029802322."""
    required: bool = True

    @property
    def slot(self) -> str:
        """The group of fields it belongs to."""
        return self.name.split("/")[0]

    def encode(self, values: np.ndarray, fields: Fields) -> np.ndarray:
        """The values as the table stores them."""
        return self.codec.encode(values, fields).astype(self.dtype)

    def decode(self, values: np.ndarray, fields: Fields) -> np.ndarray:
        """The values in emjax's unit."""
        values = self.codec.decode(values, fields)
        return values if self.digits is None else np.round(values, self.digits)
