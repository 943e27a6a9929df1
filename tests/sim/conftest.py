import logging

import pytest


@pytest.fixture(autouse=True)
def quiet_operator():
    """Lost answers are the point here, not news."""
    logger = logging.getLogger("os_operator")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)
