"""What the tests of Python clients find around themselves: a network that `run` has started."""

import os

import pytest


@pytest.fixture(scope="session")
def base_url():
    return os.environ["OPENAI_BASE_URL"]


@pytest.fixture(scope="session")
def key():
    return os.environ["OPENAI_API_KEY"]


@pytest.fixture(scope="session")
def every_base_url():
    """The gateways of all hosts."""
    return os.environ["FREEWAY_APIS"].split()
