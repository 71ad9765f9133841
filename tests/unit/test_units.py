"""What people read is rounded to three figures; what they type is understood or refused."""

import pytest

from lab.errors import UsageError
from lab.units import (
    format_bytes,
    format_rate,
    format_seconds,
    parse_per_second,
    parse_rate,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (67_200_000, "67.2 MB"),
        (923_990_000, "924 MB"),
        (1_798_270_000, "1.8 GB"),
        (999_600, "1.0 MB"),
    ],
)
def test_bytes_are_printed_as_registries_print_them(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0012, "1.2 ms"),
        (0.0996, "100 ms"),
        (0.3454, "345 ms"),
        (0.9996, "1.00 s"),
        (2.98, "2.98 s"),
        (23.94, "23.9 s"),
    ],
)
def test_seconds_are_printed_in_three_figures(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(1e9, "1 Gbit/s"), (2e8, "200 Mbit/s"), (1.5e6, "1.5 Mbit/s")]
)
def test_a_link_is_printed_in_bits_per_second(rate: float, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(("text", "rate"), [("1Gbit", 10**9), ("200 Mbit/s", 2 * 10**8)])
def test_a_bandwidth_may_be_typed(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["fast", "", "0Gbit", "1GB", "-1Mbit"])
def test_what_is_not_a_bandwidth_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="1Gbit or 200Mbit"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("5min", 300), ("1h30m", 5400), ("250ms", 0.25), ("1day", 86400)],
)
def test_a_duration_may_be_typed(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "5 minutes", "-5s", "0s", "1e3s", "5m!"])
def test_what_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="1h30m"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "per_s"), [("20", 20), ("20/s", 20), ("90/min", 1.5), ("43200/day", 0.5), ("2.5", 2.5)]
)
def test_how_many_a_second_may_be_typed_by_any_unit_of_time(text: str, per_s: float) -> None:
    assert parse_per_second(text) == per_s


@pytest.mark.parametrize("text", ["", "0", "-3", "nan", "inf", "20/", "20/fortnight", "1/0"])
def test_what_is_not_a_rate_above_nought_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="5000/day"):
        parse_per_second(text)
