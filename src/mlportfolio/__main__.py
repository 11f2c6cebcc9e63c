"""`python -m mlportfolio`."""

import sys

from mlportfolio.cli import main

sys.exit(main())
