"""Units, intervals, variables: what Grafana would print and what it would ask."""

import math

import pytest

from lab.errors import UsageError
from lab.observe.render import colours, quantities
from lab.observe.render.timespan import QueryStep, Span, duration_text, moment, rounded, seconds_of
from lab.observe.render.variables import Chosen, Scope, escape

HOUR = Span(start=0, end=3600)


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (0.0123, "s", None, "12.3 ms"),
        (1.5, "s", None, "1.50 s"),
        (90, "s", None, "1.50 mins"),
        (0, "s", None, "0 s"),
        (7200, "s", None, "2 hours"),
        (0.0000005, "s", None, "500 ns"),
        (0.123, "percentunit", None, "12.3%"),
        (0.5, "percentunit", 1, "50.0%"),
        (1_150_000_000, "decbytes", None, "1.15 GB"),
        (12_345, "short", None, "12.3 K"),
        (2_000_000, "short", None, "2 Mil"),
        (0.25, "reqps", None, "0.250 req/s"),
        (1500, "reqps", None, "1.50K req/s"),
        (3, "none", None, "3"),
        (1 / 3, "none", 2, "0.33"),
        (-0.0001, "none", 1, "0.0"),
        (math.inf, "s", None, "∞"),
        (math.nan, "s", None, "NaN"),
        (None, "s", None, ""),
    ],
)
def test_a_value_is_printed_in_its_unit(
    value: float | None, unit: str, decimals: int | None, expected: str
) -> None:
    assert quantities.text(value, unit, decimals) == expected


@pytest.mark.parametrize(
    ("unit", "most", "ticks", "suffix"),
    [
        ("s", 0.5, "~s", "s"),
        ("s", 7200.0, None, " s"),
        ("percentunit", 1.0, "~%", ""),
        ("decbytes", 4e9, "~s", "B"),
        ("reqps", 0.5, "", " req/s"),
        ("none", 5.0, "", ""),
    ],
)
def test_an_axis_is_printed_in_its_unit(
    unit: str, most: float, ticks: str | None, suffix: str
) -> None:
    found = quantities.tick_format(unit, most)
    assert (found.get("tickformat"), found["ticksuffix"]) == (ticks, suffix)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(3.1, 2), (3.6, 5), (14, 15), (44, 30), (46, 60), (0.3, 0.2)]
)
def test_a_step_is_rounded_as_grafana_rounds(seconds: float, expected: float) -> None:
    assert rounded(seconds) == expected


def test_a_rate_sees_at_least_four_scrapes() -> None:
    pace = QueryStep.of(Span(start=0, end=300), points=600, scrape=5)
    assert (pace.step, pace.rate) == (5, 20)
    wide = QueryStep.of(Span(start=0, end=86400), points=600, scrape=5)
    assert (wide.step, wide.rate) == (120, 125)


def test_a_series_never_has_more_points_than_prometheus_gives() -> None:
    pace = QueryStep.of(Span(start=0, end=30 * 86400), points=100_000, scrape=1)
    assert 30 * 86400 / pace.step <= 11_000


def test_durations_are_read_and_written_as_promql_has_them() -> None:
    assert [seconds_of(text) for text in ("90s", "1h30m", ">15s", "250ms")] == [90, 5400, 15, 0.25]
    assert [duration_text(s) for s in (3600, 90, 0.25, 86400)] == ["1h", "90s", "250ms", "1d"]
    assert moment("now-6h", 100_000) == 100_000 - 6 * 3600
    for wrong in ("", "1x", "5", "0s", "-1h"):
        with pytest.raises(UsageError, match=r"is not a duration|has no length"):
            seconds_of(wrong)
    with pytest.raises(UsageError, match="relative to now"):
        moment("yesterday", 0)


def chosen(*values: str, **more: object) -> Chosen:
    return Chosen(values=values, **more)  # type: ignore[arg-type]


SCOPE = Scope(
    chosen={
        "one": chosen("a.b"),
        "quoted": chosen('say "hi"\\'),
        "some": chosen("a.b", "c|d", several=True),
        "single": chosen("a.b", several=True),
        "all": chosen("x", "y", several=True, everything=True),
        "wild": chosen("x", several=True, everything=True, all_value=".+"),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{m="$one"}', '{m="a.b"}'),
        ('{m="$quoted"}', '{m="say \\"hi\\"\\\\"}'),
        ('{m=~"$some"}', '{m=~"(a\\\\.b|c\\\\|d)"}'),
        ('{m=~"$single"}', '{m=~"a\\\\.b"}'),
        ('{m=~"$all"}', '{m=~"(x|y)"}'),
        ('{m=~"${wild}"}', '{m=~".+"}'),
        ('{m=~"[[all]]"}', '{m=~"(x|y)"}'),
        ('label_replace(x, "a", "$1", "b", "(.*)")', 'label_replace(x, "a", "$1", "b", "(.*)")'),
        ("$nobody", "$nobody"),
    ],
)
def test_variables_are_filled_into_queries(text: str, expected: str) -> None:
    assert SCOPE.query(text) == expected


def test_a_title_reads_as_words() -> None:
    assert SCOPE.words("$one, ${some}, $all") == "a.b, a.b + c|d, All"


def test_what_nothing_defines_is_told() -> None:
    assert SCOPE.unknown("$one $nobody $1 ${else} ${some:csv}") == ["nobody", "else", "some:csv"]


def test_the_variables_of_time_follow_range_and_step() -> None:
    scope = SCOPE.at(HOUR, QueryStep(step=15, rate=60))
    assert scope.query("a[$__rate_interval] b[${__interval}] $__range") == "a[1m] b[15s] 3600s"


def test_a_backslash_survives_regex_and_string() -> None:
    assert escape("a\\b") == "a\\\\\\\\b"


def test_colours_have_a_light_and_a_dark_side() -> None:
    assert colours.named("green") == "light-dark(#56a64b, #73bf69)"
    assert colours.named("semi-dark-red") == "light-dark(#c4162a, #e02f44)"
    assert colours.named("#AABBCC") == "light-dark(#aabbcc, #aabbcc)"
    assert colours.named("url(javascript:x)") == "light-dark(#808080, #808080)"
    assert colours.faded(colours.named("#000000"), 0.5) == "light-dark(#00000080, #00000080)"
    assert colours.by_name("grade 0") == colours.by_name("grade 0")


def test_every_colour_of_the_palette_is_seen_on_both_pages() -> None:
    for place in range(len(colours.PALETTE)):
        light, dark = colours.of_palette(place).removeprefix("light-dark(").rstrip(")").split(", ")
        assert colours.contrast(light, "#ffffff") >= 1.9
        assert colours.contrast(dark, "#171b20") >= 1.9
