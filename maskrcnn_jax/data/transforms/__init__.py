"""From an example to one row of a batch."""
