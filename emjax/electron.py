"""The electron's wavelength: one formula for files and images.

Source: Reimer & Kohl, Transmission Electron Microscopy (2008), eq. 2.5.
"""

import numpy as np

PLANCK = 12.2642598  # Å·√V: h / √(2·m·e)
RELATIVITY = 9.784755e-7  # 1/V: e / (2·m·c²)


def wavelength_of(voltage: np.ndarray) -> np.ndarray:
    """Relativistic wavelength in Å of a voltage in kV."""
    volts = 1e3 * np.asarray(voltage, np.float64)
    return PLANCK / np.sqrt(volts * (1 + RELATIVITY * volts))
