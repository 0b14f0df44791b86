import jax
import pytest


@pytest.fixture(autouse=True, scope="session")
def started():
    """JAX runs with the four devices of the test bench before a plan can ask for others."""
    assert len(jax.devices()) == 4
