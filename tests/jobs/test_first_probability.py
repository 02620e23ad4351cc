"""Particles that the preparation set aside keep the probability that it found."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from emjax.campaign.folder import CampaignFolder
from emjax.classify.calibration import Calibration, Normal, Signal, score_of
from emjax.io.files import write_json
from emjax.jobs.outliers import first_probability
from emjax.jobs.prepared import Prepared


def test_it_is_that_of_the_mean_maps_scores(tmp_path: Path):
    calibration = Calibration(Normal(2.0, 1.0), Signal(15.0, 3.0), Normal(1.0, 2.0), 0.1, 5.0)
    folder = CampaignFolder(tmp_path).prepare
    write_json(folder.outliers, {"calibration": calibration.record()})
    score = np.array([-1.0, 2.0, 6.5, 15.0])
    ratio = np.sign(score) * score**2 / 2
    np.testing.assert_allclose(score_of(ratio), score)
    source = SimpleNamespace(particles=SimpleNamespace(numbers=lambda name: ratio))
    prepared = Prepared.__new__(Prepared)
    prepared.__dict__.update(folder=folder, everyone=SimpleNamespace(source=source))
    found = first_probability(prepared)
    np.testing.assert_array_equal(found, calibration.probability(score))
    assert found[1] < 1e-3 and found[3] > 0.999
