"""The command `emjax`: from a particle file to a campaign's report and its particles."""

from emjax.cli.program import main

__all__ = ["main"]
