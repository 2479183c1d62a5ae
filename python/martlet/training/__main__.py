"""`python -m martlet.training` is `martlet-train`."""

import sys

from .command import main

sys.exit(main())
