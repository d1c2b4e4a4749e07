"""Each test of this folder begins and ends with a process that knows no secret."""

import pytest

from aether_load.redaction import REDACTOR


@pytest.fixture(autouse=True)
def no_secret_known():
    REDACTOR.forget()
    yield
    REDACTOR.forget()
