"""What is known of the optics of a particle set beyond defocus, and what is doubtful about it."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from emjax.imaging.ctf import fourth_order
from emjax.imaging.ctf_signs import compare_signs
from emjax.imaging.distortions import odd_phases
from emjax.imaging.prepare import Prepared, PrepareOptions
from emjax.io.particles.ctf_in_images import CHOICES
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.star.optics import phase_left_out
from emjax.io.star.relion import StarParticles

NOTABLE = 1.0  # degrees of phase that are worth a word


def describe_optics(table: ParticleSet, resolution: float) -> Iterator[str]:
    """What the particle file says beyond defocus and is used, in a sentence; its size at Å."""
    angle = np.linspace(0, 2 * np.pi, 73)
    x, y = (jnp.asarray(f(angle) / resolution) for f in (np.cos, np.sin))
    said = []
    for name, values, phases in (
        ("odd aberrations (beam tilt, trefoil)", table.odd_aberration, odd_phases(x, y)),
        ("even aberrations (tetrafoil)", table.even_aberration, fourth_order(x, y)),
    ):
        largest = np.rad2deg(np.abs(np.unique(values, axis=0) @ np.asarray(phases)).max())
        if largest > 0.01:
            said.append(f"{name} of up to {largest:.2g}° at {resolution:.3g} Å")
    change = np.abs(table.magnification - np.array([1, 0, 0, 1])).max()
    if change > 0:
        said.append(f"magnification matrices (up to {100 * change:.2g} % from 1)")
    for name, values, usual in (
        ("B-factors", table.ctf_bfactor, 0),
        ("CTF scales", table.ctf_scale, 1),
    ):
        if (values != usual).any():
            said.append(f"{name} from {values.min():.3g} to {values.max():.3g}")
    for number, name in enumerate(CHOICES[2:], 1):
        if count := int((table.ctf_applied == number).sum()):
            said.append(f"{count} images {name.replace('_', '-')}")
    if count := int(table.mirrored.sum()):
        said.append(f"{count} images mirrored")
    if said:
        yield "taken into account: " + ", ".join(said)


def doubts_of_optics(found: Prepared, table: ParticleSet, options: PrepareOptions) -> list[str]:
    """What may be wrong with the signs of the CTFs, and aberrations that are not modelled.

    Args:
        found: by the preparation.
        table: its particles.
        options: of the preparation.
    """
    doubts, source = [], table.source
    signs = compare_signs(found.particles, found.mean.solvent_mask, options.symmetry)
    if signs is not None and signs.wrong:
        meant = CHOICES[1 + int(np.bincount(table.ctf_applied).argmax())]
        likely = "premultiplied" if signs.multiplied else "phase_flipped"
        likely = likely if meant == "none" else "none"
        state = {
            "none": "as recorded",
            "phase_flipped": "phase-flipped",
            "premultiplied": "multiplied by their CTF",
        }
        doubts.append(
            f"the images of {source.file} look {state[likely]}, not {state[meant]}: beyond the"
            f" first zero of the CTF the half-maps' FSC is {signs.flipped:.2f} with the other"
            f" signs, {signs.given:.2f} with those taken; set ctf_in_images: {likely} if that is so"
        )
    if isinstance(source, StarParticles):
        largest = phase_left_out(source, options.filter_resolution)
        if largest > NOTABLE:
            doubts.append(
                f"Zernike terms above the fourth order in {source.file} are not modelled: up to"
                f" {largest:.2g}° of phase at {options.filter_resolution:g} Å"
            )
    return doubts
