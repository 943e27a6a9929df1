"""What the cache service's log is spared."""

import logging

import pytest

from jboost_server.web.process import log_json


@pytest.fixture(autouse=True)
def as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_a_storm_over_s3_writes_no_line_for_each_connection_that_is_not_kept(capsys):
    log_json()
    logging.getLogger("urllib3.connectionpool").warning("Connection pool is full, discarding connection")
    logging.getLogger("urllib3.connectionpool").error("something else")
    assert "pool is full" not in capsys.readouterr().err
