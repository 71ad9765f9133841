"""A bug in one round is told and does not end the others; what ends everything passes."""

import logging

import pytest

from lab.endpoint.logged import logged


def test_an_error_is_logged_with_its_traceback_and_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with logged(logging.getLogger("x"), "asking %s", "a"):
        raise ValueError("why")
    assert "asking a" in caplog.text
    assert "ValueError: why" in caplog.text


def test_what_ends_everything_passes() -> None:
    with pytest.raises(KeyboardInterrupt), logged(logging.getLogger("x"), "asking"):
        raise KeyboardInterrupt
