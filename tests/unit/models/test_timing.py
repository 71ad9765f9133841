"""Which processor it is, and what times say of int8."""

import pytest

from models.common import timing

INTEL = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 {}\n"


@pytest.mark.parametrize(
    ("flags", "architecture", "vnni"),
    [
        ("avx512f", "x86_64", False),
        ("avx512_vnni", "x86_64", True),
        ("avx_vnni", "x86_64", True),
        ("", "aarch64", True),
    ],
)
def test_weights_get_seven_bits_where_products_may_saturate(
    flags: str, architecture: str, *, vnni: bool
) -> None:
    found = timing.processor(INTEL.format(flags), architecture)
    assert (found.model, found.vnni, found.reduce_range) == ("Xeon", vnni, not vnni)


def test_a_machine_that_tells_nothing_of_itself_has_no_vnni() -> None:
    assert timing.processor("", "x86_64").reduce_range


def test_ratios_that_are_the_same_have_no_width() -> None:
    assert timing.interval([0.5] * timing.ROUNDS) == {"value": 0.5, "low": 0.5, "high": 0.5}


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ([0.40, 0.41, 0.42, 0.40, 0.41, 0.42, 0.41], "smaller and faster"),
        ([1.30, 1.31, 1.32, 1.30, 1.31, 1.32, 1.31], "smaller, and slower"),
        ([0.70, 1.40, 0.80, 1.30, 0.90, 1.20, 1.00], "smaller, not faster"),
    ],
)
def test_faster_is_said_only_where_the_interval_shows_it(ratios: list[float], said: str) -> None:
    assert timing.verdict(timing.interval(ratios)).startswith(said)
