"""Images inside of labelme's JSON."""

import base64
from typing import Any

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.prepare.json_values import shown


def decode_base64(value: Any, name: str) -> bytes:
    """The bytes of an image in base64, which may follow `data:image/png;base64,`.

    Args:
        value: Anything of JSON.
        name: What error messages call it.

    Raises:
        BrokenImage: It is no base64.
    """
    try:
        if isinstance(value, str):
            return base64.b64decode(value.rpartition(",")[2])
    except ValueError:
        pass
    raise BrokenImage(f"{name} is {shown(value)}, no image in base64")
