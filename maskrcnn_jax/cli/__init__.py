"""The command line: `python -m maskrcnn_jax COMMAND --help`."""
