"""`python -m emjax export`: a campaign's classes as files for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from emjax.io.export.programs import FORMATS
from emjax.io.export.results import export_results
from emjax.io.particles.particle_set import read_particles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("results", help="results/<campaign>; export/ is written there")
    parser.add_argument("particles", help="the campaign's input: STAR, job folder, .cs or .csg")
    parser.add_argument("--image-root", help="where relative image paths start")
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="(default: all)"
    )


def run(options: argparse.Namespace) -> None:
    """Export and say where to."""
    particles = read_particles(options.particles, options.image_root)
    written = export_results(options.results, particles, tuple(options.formats))
    print(f"{len(written)} files written to {Path(options.results) / 'export'}")
