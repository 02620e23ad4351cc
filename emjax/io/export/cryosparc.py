"""Classes as CryoSPARC imports them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.io.cryosparc.tables import CsParticles, write_cs
from emjax.io.export.classes import class_members
from emjax.io.fields import label
from emjax.io.files import write_text
from emjax.io.particles.columns import merged_records, with_cs_columns
from emjax.io.particles.particle_set import ParticleSet, cryosparc_source


def export_cryosparc(
    folder: str | Path, particles: ParticleSet, columns: dict[str, np.ndarray]
) -> list[Path]:
    """Particles with class and posterior as a results group, for "Import Result Group".

    All fields, of passthrough files too, are in the one table; `particles_class_K.cs` are the
    classes on their own, `particles_unassigned.cs` those that belong to none.
    """
    folder = Path(folder)
    source = cryosparc_source(particles)
    whole = CsParticles(source.file, merged_records(source))
    records = with_cs_columns(whole, columns)
    number = np.asarray(columns[label("class_number")])
    written = []
    parts = {"particles": np.ones(len(number), bool)}
    parts |= {
        f"particles_{name}": rows for name, rows in class_members(number).items() if rows.any()
    }
    for name, rows in parts.items():
        written += write_group(folder, name, records[rows])
    return written


def write_group(folder: Path, name: str, records: np.ndarray) -> list[Path]:
    """A table, and the results group that names its slots."""
    written = [folder / f"{name}.cs", folder / f"{name}.csg"]
    write_cs(written[0], records)
    write_text(written[1], _group(name, records))
    return written


def _group(name: str, records: np.ndarray) -> str:
    """A results group that names the slots of one table."""
    names = records.dtype.names or ()
    slots = dict.fromkeys(n.split("/")[0] for n in names if "/" in n)
    known = [s for s in slots if s in ("blob", "ctf", "location", "alignments2D", "alignments3D",
                                       "alignments3D_multi")]  # fmt: skip
    lines = [
        "group:",
        "  description: Particles classified by emjax",
        f"  name: {name}",
        f"  title: {name}",
        "  type: particle",
        "results:",
    ]
    for slot in known:
        kind = slot.removesuffix("_multi")
        lines.append(f"  {slot}:")
        lines.append(f"    metafile: '>{name}.cs'")
        lines.append(f"    num_items: {len(records)}")
        lines.append(f"    type: particle.{kind}")
    return "\n".join([*lines, "type: results", "version: v4.0.0", ""])
