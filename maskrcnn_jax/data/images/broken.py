"""Images that cannot be read."""


class BrokenImage(ValueError):
    """An image that cannot be read or decoded; the message names it."""
