"""What the machine that a program runs on has to offer."""

import os


def cores() -> int:
    """Processor cores that this process may use; a cluster's job often has few of many."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
