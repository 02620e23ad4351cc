"""`python -m emjax` is the command `emjax`."""

import sys

from emjax.cli import main

sys.exit(main())
