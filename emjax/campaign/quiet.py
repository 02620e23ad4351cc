"""Only emjax's lines on the terminal, and what Snakemake itself fails at."""

import logging
import os
from collections.abc import Callable

VERBOSE = "EMJAX_VERBOSE"  # set in the environment, it lets Snakemake say everything


class OnlyFailures(logging.Filter):
    """Lets pass what stops Snakemake; of jobs that fail, emjax speaks itself.

    On a cluster the jobs' own lines are in their logs, so Snakemake's are all there is to see.
    """

    def __init__(self, on_cluster: Callable[[], bool]) -> None:
        """Whether jobs run elsewhere is known only once Snakemake has read the workflow."""
        super().__init__()
        self._on_cluster = on_cluster

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        event = str(getattr(record, "event", "")).lower()
        if self._on_cluster():
            return True
        return record.levelno >= logging.ERROR and not event.endswith(("job_error", "group_error"))


def hush(logger: logging.Logger, on_cluster: Callable[[], bool]) -> None:
    """From now on Snakemake says only what stops it, unless jobs run on a cluster."""
    if VERBOSE in os.environ:
        return
    for handler in logger.handlers:
        # A dry run is asked for in order to read what Snakemake says.
        if not any(getattr(check, "dryrun", False) for check in handler.filters):
            handler.addFilter(OnlyFailures(on_cluster))
