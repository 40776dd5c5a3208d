"""`python -m reconciler.cli`: the same as `atek`."""

import sys

from reconciler.cli import main

sys.exit(main())
