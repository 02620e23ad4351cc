"""Tiny campaigns, run by Snakemake as a user would run them."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def tiny_config(**changes: Any) -> dict[str, Any]:
    """The smallest campaign, without held-out evidence: its basis takes longer than all else."""
    em3d = {"n_classes": [2], "seeds": 2, "online_epochs": 0, "full_iterations": 3}
    em3d["evidence_seeds"] = 0
    return {
        "campaign": "tiny",
        "particles": "data/particles.star",
        "filter_resolution": 24,
        "runs": {"em3d": em3d},
    } | changes


class Place:
    """A folder with particles, where campaigns run."""

    def __init__(self, folder: Path) -> None:
        """The folder; `data/` in it holds the particles."""
        self.folder, self.snakefile = folder, ROOT / "Snakefile"

    def command(self, config: dict[str, Any], *arguments: str) -> list[str]:
        """A Snakemake command line for a configuration, which is written to a file."""
        path = self.folder / f"{config.get('campaign', 'unnamed')}.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile)]
        return [*command, "--configfile", path.name, "--cores", "2", *arguments]

    def snakemake(
        self, config: dict[str, Any], *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; stdout holds all it said."""
        return subprocess.run(
            self.command(config, *arguments),
            cwd=self.folder,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def jobs(self, config: dict[str, Any], **environment: str) -> set[str]:
        """Rules that a dry run says it would run."""
        done = self.snakemake(config, "--dry-run", environment=environment)
        assert done.returncode == 0, done.stdout
        _, _, table = done.stdout.partition("Job stats:")
        rows = (line.split() for line in table.partition("total")[0].splitlines())
        return {row[0] for row in rows if len(row) == 2 and row[1].isdigit()}


def long_config(seeds: int | list[int], iterations: int = 25) -> dict:
    """Classifications that run all of their iterations, so that there is time to kill them."""
    em3d = {
        "n_classes": [2, 3],
        "seeds": seeds,
        "full_iterations": iterations,
        "switch_convergence": 0,
        "rms_convergence": 0,
    }
    return tiny_config(runs={"em3d": em3d})


def assert_same_runs(one: Place, other: Place, runs: list[str]) -> None:
    """Runs left the same bits, but for seconds spent, and where their logs and stacks lie."""
    elsewhere = {"seconds": 0, "log": ""}
    for run in runs:
        a, b = (place.folder / "results/tiny/runs" / run for place in (one, other))
        names = [{p.relative_to(f) for p in f.rglob("*") if p.is_file()} for f in (a, b)]
        page = {Path("report.html")}  # another rule's
        assert names[0] - page == names[1] - page
        for path in (a / name for name in sorted(names[0] - page)):
            files = path.read_bytes(), (b / path.relative_to(a)).read_bytes()
            if path.name == "metrics.json":
                assert len({str(json.loads(file) | elsewhere) for file in files}) == 1
            elif path.name == "particles.star":
                at = re.compile("|".join(re.escape(str(p.folder)) for p in (one, other)).encode())
                assert len({at.sub(b"", file) for file in files}) == 1
            else:
                assert files[0] == files[1], path


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 300) -> None:
    """Until a file is there; the process must still run then."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
