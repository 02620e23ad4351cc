"""What the input of a stand-alone job is checked by."""

from collections.abc import Callable
from typing import Any

from emjax.jobs.given_classes import check_given

# Each returns what it found in a sentence, or raises an InputError. A job that is not here is
# checked as a campaign is.
CHECKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "rebalance": check_given,
}
