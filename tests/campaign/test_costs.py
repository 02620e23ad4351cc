"""What a campaign will cost, estimated before it runs and asked of a cluster."""

import pytest

from emjax.campaign.costs import Facts, memory_mb, minutes, prepare
from emjax.campaign.methods import long_jobs
from emjax.campaign.methods.em3d import Em3d
from emjax.campaign.settings import complete
from tests.campaigns import tiny_config


def test_memory_is_bounded_and_time_grows_with_the_particles():
    config = complete(tiny_config(max_memory_gb=4))
    few, many = (
        Em3d().cost_of_columns(Facts(n, 256, 40), config, 40) for n in (100_000, 10_000_000)
    )
    # Solving the maps is the same for any number.
    assert 95 * few.seconds < many.seconds < 100 * few.seconds
    # Python, JAX, the particle file and the posteriors come on top.
    assert many.memory_mb < 4096 + 2200 + 10 * (2000 + 40 * 12) + 40 * 30
    assert prepare(Facts(10_000, 512, 40)).memory_mb > prepare(Facts(10_000, 64, 20)).memory_mb


def test_what_cannot_be_divided_is_asked_for():
    em3d_options = tiny_config()["runs"]["em3d"]
    config = complete(tiny_config(max_memory_gb=2))
    # One tile of sixteen classes: 140 bytes per voxel and class.
    large = Facts(1000, 1024, 250)
    assert Em3d().cost_of_columns(large, config, 4).memory_mb > 16 * 140e-6 * large.voxels > 2048
    wide = complete(tiny_config(max_memory_gb=2, runs={"em3d": em3d_options | {"n_classes": [40]}}))
    assert Em3d().cost_of_columns(large, wide, 40).memory_mb > 48 * 140e-6 * large.voxels


def test_a_failed_job_asks_for_more():
    cost = Em3d().cost_of_columns(Facts(10_000, 256, 40), complete(tiny_config()), 40)
    assert memory_mb(cost, 2) > memory_mb(cost, 1) > cost.memory_mb - 1
    assert minutes(cost, 2) > minutes(cost, 1) >= 10


def test_every_way_to_classify_is_estimated_and_grows_with_what_it_does():
    runs = {"subspace": {"n_classes": [2, 3], "seeds": 100}, "som": {"map": [4, 4], "seeds": 2}}
    facts = Facts(8000, 64, 16)

    def seconds(subspace: dict | None = None, som: dict | None = None) -> dict[str, float]:
        asked = {"subspace": runs["subspace"] | (subspace or {}), "som": runs["som"] | (som or {})}
        found = long_jobs(facts, complete(tiny_config(runs=asked)))
        return {name: cost.seconds for name, cost in found}

    few, more = seconds(), seconds({"seeds": 1000}, {"map": [8, 8]})
    assert more["classify_subspace"] == pytest.approx(10 * few["classify_subspace"])
    assert more["classify_som_s000"] == pytest.approx(4 * few["classify_som_s000"])
    polished = seconds({"polish_iterations": 2})
    assert polished["classify_subspace"] > few["classify_subspace"]
