"""`python -m aether_load` is the command `aether-load`."""

import sys

from aether_load.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
