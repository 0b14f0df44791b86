"""Names of the values that a configuration holds in tuples: heads, losses, evaluators, transforms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from maskrcnn_jax.messages.config_error import require

if TYPE_CHECKING:
    from maskrcnn_jax.config import Config


def require_names(config: "Config") -> None:
    """Checks that flags, metrics and outputs can be called by the values' names.

    Raises:
        ConfigError: a value has no name, one that another has, or one that is taken or no identifier.
    """
    _check("model.heads", config.model.heads, taken=("box", "mask"))
    _check("losses", config.losses)
    _check("evaluators", config.evaluators, taken=("bbox", "segm"))
    _check("data.transforms", config.data.transforms)


def _check(where: str, values: Sequence[Any], taken: Sequence[str] = ()) -> None:
    for i, value in enumerate(values):
        named = isinstance(getattr(value, "name", None), str)
        remedy = f'has no name; add `name: ClassVar = "…"` to the class {type(value).__name__}'
        require(named, f"{where}[{i}]", value, remedy)
    names = [value.name for value in values]
    fits = len({*names, *taken}) == len(names) + len(taken) and all(name.isidentifier() for name in names)
    remedy = "must have names of their own that are Python identifiers" + (f", not {', '.join(taken)}" * bool(taken))
    require(fits, where, names, remedy)
