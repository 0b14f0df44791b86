"""Published weights by name: the table, and their download."""
