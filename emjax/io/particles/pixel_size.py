"""Pixel sizes of a particle file and of its stacks' headers, where they differ."""

from __future__ import annotations

import warnings

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import ALIGNMENT_PIXEL_SIZE, cs_column, label, star_columns
from emjax.io.mrc.header import MrcHeader
from emjax.io.particles.columns import replace_fields
from emjax.io.star.relion import StarParticles

# Header pixel sizes are often left from an earlier step; calibration moves them by a few percent.
_TOLERANCE = 0.05
_SIZE = label("image_pixel_size")

Source = StarParticles | CsParticles


def believed_pixel_size(
    source: Source,
    fields: dict[str, np.ndarray],
    headers: list[MrcHeader],
    stack_of: np.ndarray,
    believe: str,
) -> Source:
    """The particle file with the pixel sizes that are believed; `fields` follow.

    A warning says where headers differ and the particle file is believed.

    Args:
        source: the particle file.
        fields: what it says of each particle; pixel sizes and shifts are changed in place.
        headers: of its stacks.
        stack_of: stack of each particle.
        believe: `particles`, or `stacks`, of which headers of 1 Å are not: programs that do not
            know better write that.

    Raises:
        InputError: where `believe` is neither, or the stacks of an optics group differ.
    """
    if believe not in ("particles", "stacks"):
        raise InputError(None, "pixel_size_of", believe, "particles or stacks")
    known = np.array([header.voxel_size or 1.0 for header in headers])[stack_of]
    size = fields["image_pixel_size"]
    differ = (np.abs(known - 1) > 1e-6) & (np.abs(size / known - 1) > _TOLERANCE)
    if not differ.any():
        return source
    row = int(np.argmax(differ))
    if believe == "particles":
        others = len(np.unique(stack_of[differ])) - 1
        more = f" and {others} more" if others else ""
        warnings.warn(
            f"{source.file}: pixel size {size[row]:g} Å, but {known[row]:g} Å in the header of"
            f" {headers[stack_of[row]].path}{more}; the particle file is believed"
            " (check.pixel_size: stacks believes the headers)",
            stacklevel=2,
        )
        return source
    new = np.where(differ, known, size)
    if _shifts_in_pixels(source):
        fields["shifts"] = fields["shifts"] * (new / size)[:, None]
    fields["image_pixel_size"] = new
    return _rewritten(source, fields["optics_group"], new)


def _shifts_in_pixels(source: Source) -> bool:
    if isinstance(source, CsParticles):
        return not any(name in source for name in _unit_names())
    return star_columns("shifts").labels[0] not in source.particles


def _unit_names() -> tuple[str, str]:
    return ALIGNMENT_PIXEL_SIZE, ALIGNMENT_PIXEL_SIZE.replace("/", "_multi/")


def _rewritten(source: Source, group: np.ndarray, size: np.ndarray) -> Source:
    """The file with these pixel sizes, so that all that is written from it has them."""
    if isinstance(source, CsParticles):
        column = cs_column("image_pixel_size")
        records = replace_fields(source.records, {column.name: size.astype(column.dtype)})
        return CsParticles(source.file, records, source.passthrough)
    optics = source.optics
    if optics is None:
        # What RELION 3.0's other columns say of it gives way to this one.
        return source.with_particles(source.particles.with_columns({"rlnPixelSize": size}))
    values = []
    for number in optics.integers(label("optics_group")).tolist():
        own = np.unique(size[group == number])
        if len(own) > 1:
            found = " and ".join(f"{value:g}" for value in own[:2])
            place = f"optics group {number}"
            expected = "one; check.pixel_size: particles believes the particle file"
            raise InputError(source.file, place, f"stacks of {found} Å", expected)
        old = optics.numbers(_name_in(source))[len(values)]
        values.append(own[0] if len(own) else old)
    table = optics.with_columns({_name_in(source): np.array(values)})
    return StarParticles(source.star.with_table(table), source.particles_name, source.optics_name)


def _name_in(source: StarParticles) -> str:
    optics = source.optics
    return _SIZE if optics is not None and _SIZE in optics else "rlnPixelSize"
