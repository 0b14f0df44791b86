"""The devices that JAX computes on, asked for before anything else needs them."""

import jax

from maskrcnn_jax.messages.config_error import ConfigError


def require_devices() -> None:
    """Starts JAX's devices, or says in one line why that cannot be.

    Raises:
        ConfigError: The platform that is asked for is not here, or cannot be started.
    """
    try:
        jax.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # JAX asserts that the platform it skipped, for want of a GPU, is there
        asked = jax.config.jax_platforms  # type: ignore[attr-defined]
        said = (
            str(error)
            .partition("\n")[0]
            .replace("(set JAX_PLATFORMS='' to automatically choose an available backend)", "")
        )
        reason = said.strip() or "this machine has no such device, or JAX is installed without support for it"
        raise ConfigError(
            f"JAX_PLATFORMS = {asked!r}: {reason}; set JAX_PLATFORMS=cpu, or unset it to use what is there"
        ) from error
