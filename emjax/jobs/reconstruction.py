"""The files of a class's map."""

import numpy as np
import pandas as pd

from emjax.campaign.folder import ConsensusFolder
from emjax.imaging.reconstruct import Reconstruction
from emjax.io.files import write_tsv
from emjax.io.mrc.volume import write_volume
from emjax.resolution import resolution_at


def write_reconstruction(
    folder: ConsensusFolder, number: int, found: Reconstruction, pixel_size: float
) -> float:
    """Write map, half-maps and FSC of a consensus class; its resolution in Å comes back."""
    write_volume(folder.class_map(number), found.volume, pixel_size)
    for half, half_map in enumerate(found.half_maps, 1):
        write_volume(folder.class_map(number, f"half{half}"), half_map, pixel_size)
    extent = len(found.volume) * pixel_size
    shells = np.arange(1, len(found.fsc))
    fsc = {
        "resolution": extent / shells,
        "frequency_per_angstrom": shells / extent,
        "fsc": found.fsc_masked[1:],
        "fsc_unmasked": found.fsc[1:],
    }
    write_tsv(folder.class_fsc(number), pd.DataFrame(fsc))
    return resolution_at(found.fsc_masked, extent)
