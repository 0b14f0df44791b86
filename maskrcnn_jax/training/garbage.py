"""Python's search for garbage."""

import gc


def tune_gc() -> None:
    """Has Python search for garbage less often, and never among what is there already: the imported modules.

    Reference counts free nearly everything at once; the search is for objects that refer to each other in a circle. It
    comes after 700 new objects, by default, and tracing a train step makes millions, most of which stay: searching
    takes a quarter of the time.
    """
    gc.freeze()
    gc.set_threshold(10_000)
