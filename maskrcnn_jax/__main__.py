"""The command line: `python -m maskrcnn_jax COMMAND --help`."""

import sys

from maskrcnn_jax.cli.commands import main

if __name__ == "__main__":
    sys.argv[0] = "python -m maskrcnn_jax"  # Python puts the path of this file there
    main()
