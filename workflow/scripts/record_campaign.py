"""What a campaign was: options, versions, checksums, seeds, devices, and where the time went."""

import platform
from importlib.metadata import version
from pathlib import Path

from _job import job

from emjax.io.atomic import read_json, read_tsv, write_json

PACKAGES = ["emjax", "equinox", "jax", "jaxlib", "numpy", "pandas", "scikit-learn", "scipy"]

with job(snakemake) as work:
    facts = read_json(snakemake.input.facts[0])
    metrics = [read_json(path) for path in snakemake.input.metrics]
    times = {}
    for path in sorted(Path(snakemake.params.benchmarks).glob("*.tsv")):
        row = read_tsv(path).iloc[-1]
        times[path.stem] = {"seconds": row["s"], "max_rss_mb": row["max_rss"]}
    record = {
        "config": snakemake.params.config,
        "emjax_version": snakemake.params.emjax,
        "versions": {name: version(name) for name in [*PACKAGES, "snakemake"]}
        | {"python": platform.python_version()},
        "input_checksum": facts["checksum"],
        "n_particles": facts["n_particles"],
        "devices": sorted({device for m in metrics for device in m.get("devices", [])}),
        "runs": [
            {key: m.get(key) for key in ("run", "method", "n_classes", "seed", "log_likelihood")}
            for m in metrics
        ],
        "consensus": read_json(snakemake.input.elbows),
        "rules": times,
    }
    write_json(snakemake.output[0], record)
    work.say(f"{snakemake.output[0]}; make reproduce CAMPAIGN={snakemake.output[0]} runs it again")
