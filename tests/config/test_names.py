"""Names of losses, heads, evaluators and transforms: errors come before flags are made of them."""

from dataclasses import dataclass, replace

import pytest

from maskrcnn_jax.config import Config, ConfigError, Head
from maskrcnn_jax.config.names import require_names

CONFIG = Config()


@dataclass(frozen=True)
class Nameless(Head):
    pool_size: int = 7


def test_a_value_without_name():
    config = replace(CONFIG, model=replace(CONFIG.model, heads=(Nameless(),)))
    with pytest.raises(ConfigError, match=r"model\.heads\[0\] = Nameless\(pool_size=7\): has no name; add `name"):
        require_names(config)


def test_two_of_one_name():
    config = replace(CONFIG, losses=(*CONFIG.losses, CONFIG.losses[-1]))
    with pytest.raises(ConfigError, match=r"losses = .*'mask', 'mask'.*: must have names of their own"):
        require_names(config)
