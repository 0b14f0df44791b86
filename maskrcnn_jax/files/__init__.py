"""Opening, parsing and writing files that may be anything: used by every part that touches a disk."""
