"""What a failure's one message takes from a container's log."""

import pytest

from lab.endpoint.launch.failure import MOST, with_log

RULE = "-" * 40


def test_the_last_lines_follow_the_message_as_far_as_there_is_room() -> None:
    said = with_log("It ended.", "\n".join(f"line {number:04}" for number in range(1000)))
    assert said.startswith("It ended. Last log lines: line ")
    assert said.endswith(" | line 0999")
    assert len(said) <= MOST + len(" Last log lines: ")


def test_lines_that_say_nothing_take_no_room() -> None:
    log = "\n".join(["serving", *[RULE, "", "====", "  ***  "] * 50, "dying as told"])
    assert with_log("It ended.", log) == "It ended. Last log lines: serving | dying as told"


@pytest.mark.parametrize(
    ("message", "log", "said"),
    [
        ("It ended.", "", "It ended. It has logged nothing."),
        ("It ended: it has logged nothing.", "\n", "It ended: it has logged nothing."),
        ("It ended.", RULE, "It ended."),
    ],
)
def test_that_it_was_silent_is_said_once(message: str, log: str, said: str) -> None:
    assert with_log(message, log) == said
