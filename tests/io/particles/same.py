"""Comparison of two particle sets."""

import numpy as np

from emjax.io.particles.particle_set import ParticleSet

SAME = ("rotations", "shifts", "defocus_u", "defocus_v", "defocus_angle", "phase_shift", "voltage",
        "spherical_aberration", "amplitude_contrast", "optics_group", "half", "contrast",
        "image_pixel_size", "index_in_stack")  # fmt: skip


def assert_same_particles(a: ParticleSet, b: ParticleSet) -> None:
    for name in SAME:
        # Å, radians and matrix elements through float32.
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=2e-7, atol=2e-6, err_msg=name
        )
