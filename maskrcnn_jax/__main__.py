"""The command line: `python -m maskrcnn_jax COMMAND --help`."""

from maskrcnn_jax.cli.commands import main

if __name__ == "__main__":
    main()
