"""Only emjax's lines on the terminal, and what Snakemake itself fails at."""

import logging
import os

VERBOSE = "EMJAX_VERBOSE"  # set in the environment, it lets Snakemake say everything


class OnlyFailures(logging.Filter):
    """Lets pass what stops Snakemake; of jobs that fail, emjax speaks itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        event = str(getattr(record, "event", "")).lower()
        return record.levelno >= logging.ERROR and not event.endswith(("job_error", "group_error"))


def hush(logger: logging.Logger) -> None:
    """From now on Snakemake says only what stops it."""
    if VERBOSE in os.environ:
        return
    for handler in logger.handlers:
        # A dry run is asked for in order to read what Snakemake says.
        if not any(getattr(check, "dryrun", False) for check in handler.filters):
            handler.addFilter(OnlyFailures())
