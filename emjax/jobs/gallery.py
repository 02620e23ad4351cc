"""Particles that were set aside, and some that were not, as pictures beside a projection."""

from collections.abc import Callable

import numpy as np

from emjax.campaign.folder import CampaignFolder
from emjax.imaging.grids import resample
from emjax.imaging.pictures import draw_pixels, predict_pixels, wiener_gain
from emjax.io.fields import FIT, SET_ASIDE
from emjax.io.files import read_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.references import write_averages
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import set_aside
from emjax.jobs.prepared import Prepared, read_unchecked

SHOWN_REASONS = ("junk", "pose", "between")
LEAST, TYPICAL = "least", "typical"  # of the particles that have a class
EACH, MOST_TYPICAL = 6, 12  # pictures of a group
BOX_SIZES = 64, 96  # of the pictures, least and most


def choose_particles(
    fit: np.ndarray, classes: np.ndarray, reasons: np.ndarray
) -> list[tuple[str, int]]:
    """Group and row of the particles to show: no draw of lots, the same ones each time.

    Of each reason those from the worst fit to the best, evenly; of the particles with a class
    those that fit least, and of every class those nearest to its median.

    Args:
        fit: log-likelihood ratio of each particle.
        classes: from 1, 0 for none.
        reasons: why each was set aside, `none` where it was not.
    """
    order = np.argsort(fit, kind="stable")
    chosen = []
    for reason in SHOWN_REASONS:
        rows = order[reasons[order] == reason]
        picked = np.unique(np.linspace(0, len(rows) - 1, min(EACH, len(rows))).round().astype(int))
        chosen += [(reason, int(row)) for row in rows[picked]]
    least = order[classes[order] > 0][:EACH]
    chosen += [(LEAST, int(row)) for row in least]
    members = [np.flatnonzero(classes == c) for c in np.unique(classes[classes > 0])]
    members = [np.setdiff1d(rows, least) for rows in members]
    members = [rows[np.argsort(np.abs(fit[rows] - np.median(fit[rows])), kind="stable")]
               for rows in members if len(rows)]  # fmt: skip
    n_typical = min(max(EACH, len(members)), MOST_TYPICAL)
    turns = [rows[i] for i in range(n_typical) for rows in members if i < len(rows)]
    typical = sorted(turns[:n_typical], key=lambda row: (classes[row], row))
    return chosen + [(TYPICAL, int(row)) for row in typical]


def draw_pairs(
    prepared: Prepared,
    rows: np.ndarray,
    classes: np.ndarray,
    class_map: Callable[[int], np.ndarray],
) -> np.ndarray:
    """Images `[2 m, b, b]` of particles, each followed by the projection of its class's map.

    Args:
        prepared: all particles.
        rows: of those to draw.
        classes: of these, 0 for those that are drawn beside the mean map.
        class_map: map of a class, on any box.
    """
    particles = prepared.particles.take(rows)
    shown, own = np.unique(classes, return_inverse=True)
    volumes = [class_map(int(c)) if c else prepared.mean_map for c in shown]
    volumes = [resample(v, particles.box_size) * prepared.solvent_mask for v in volumes]
    predicted = predict_pixels(particles, volumes, own)
    gain = wiener_gain(predicted, particles)
    box_size = int(np.clip(particles.box_size, *BOX_SIZES))
    pairs = [draw_pixels(p, particles, gain, box_size) for p in (particles.images, predicted)]
    return np.stack(pairs, 1).reshape(-1, box_size, box_size)


def write_gallery(folder: CampaignFolder, prepared: Prepared) -> int:
    """Write the pictures with a list of what they show, which RELION's display opens.

    Args:
        folder: of the campaign, with its consensus and the maps of its classes.
        prepared: all particles.

    Returns:
        The number of particles shown.
    """
    consensus = folder.consensus
    table = read_unchecked(consensus.particles.star)
    classes, reasons = read_labels(consensus.particles.star)[1] + 1, set_aside(table.source)
    fits = read_tsv(folder.outliers.fits)
    chosen = choose_particles(fits["fit"].to_numpy(), classes, reasons)
    groups, rows = np.array([g for g, _ in chosen]), np.array([row for _, row in chosen])
    images = draw_pairs(
        prepared, rows, classes[rows], lambda c: read_volume(consensus.class_map(c))[0]
    )
    twice = np.repeat(rows, 2)
    columns = {
        "emjaxPicture": np.tile(["particle", "projection"], len(rows)),
        "emjaxGroup": np.repeat(groups, 2),
        "emjaxParticle": twice + 1,
        "rlnClassNumber": classes[twice],
        FIT: fits["fit"].to_numpy()[twice],
        "emjaxProbability": fits["probability"].to_numpy()[twice],
        SET_ASIDE: reasons[twice],
    }
    if table.micrograph is not None:
        columns["rlnMicrographName"] = table.micrograph[twice]
    pixel_size = prepared.particles.extent / images.shape[-1]
    write_averages(folder.outliers.gallery, images, pixel_size, columns)
    return len(rows)
