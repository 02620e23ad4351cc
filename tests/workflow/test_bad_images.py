"""Images that spoil the rest: left out and listed, or refused in one line."""

import mrcfile
import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_tsv
from emjax.io.particles.columns import set_aside
from emjax.jobs.prepared import read_prepared, read_table
from tests.campaigns import Place, tiny_config


def spoil(place: Place, *rows: int) -> None:
    """Some of the images of the stack: NaN, blank, and a thousand times as bright in turn."""
    (path,) = (place.folder / "data").glob("*.mrcs")
    with mrcfile.mmap(path, "r+") as stack:
        for i, row in enumerate(rows):
            factor = (np.nan, 0, 1000)[i % 3]
            stack.data[row] = stack.data[row] * factor


@pytest.mark.slow
def test_they_are_left_out_and_listed(place: Place):
    spoil(place, 5, 50, 100)
    config = tiny_config(outliers={"junk": "off"})
    done = place.snakemake(config, "--until", "prepare_particles")
    assert done.returncode == 0, done.stdout
    folder = CampaignFolder.of("tiny", place.folder).prepare
    table = read_tsv(folder.bad_images)
    assert table["particle"].tolist() == [6, 51, 101]
    assert table["reason"].tolist() == ["not finite", "constant", "norm"]
    first = table["image"][0]
    assert first.startswith("000006@") and first.endswith(".mrcs")
    (line,) = [line for line in done.stdout.splitlines() if "images left out" in line]
    assert line.startswith(f"prepare_particles: 3 of 300 images left out: {first} (not finite), ")
    assert line.endswith("listed in results/tiny/prepare/bad_images.tsv")
    reasons = set_aside(read_table(folder).source)
    assert np.flatnonzero(reasons == "image").tolist() == [5, 50, 100]
    assert set(reasons.tolist()) == {"image", "none"}
    particles = read_prepared(folder, everyone=True).particles
    np.testing.assert_array_equal(particles.weight, reasons == "none")
    assert np.isfinite(particles.images).all() and not particles.images[[5, 50, 100]].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "option", "said"),
    [
        ((7,), "error", "found 1 of 300 that would spoil the rest: 000008@"),
        (tuple(range(0, 300, 15)), "drop", "found 20 of 300 that would spoil the rest: 000001@"),
    ],
)
def test_they_are_refused_in_one_line(place: Place, rows, option, said):
    spoil(place, *rows)
    config = tiny_config(check={"bad_images": option})
    done = place.snakemake(config, "--until", "prepare_particles")
    assert done.returncode == 1
    # Once when the job fails, once as the last line.
    (line,) = {line for line in done.stdout.splitlines() if line.startswith("error: images: ")}
    assert said in line
    log = (place.folder / "logs/tiny/prepare_particles.log").read_text()
    assert sum(": not finite (" in text for text in log.splitlines()) == -(-len(rows) // 3)
    assert not (place.folder / "results/tiny/prepare/images.npy").exists()
