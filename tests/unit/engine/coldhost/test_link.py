import pytest

from lab.engine.coldhost.link import shaping


def words(bits_per_s: int) -> dict[str, str]:
    said = list(shaping(bits_per_s))
    return dict(zip(said[6::2], said[7::2], strict=True))


def test_the_kernel_is_told_the_rate_in_bits() -> None:
    assert words(1_000_000_000)["rate"] == "1000000000bit"


@pytest.mark.parametrize("bits_per_s", [1_000_000, 100_000_000, 1_000_000_000, 10_000_000_000])
def test_the_bucket_holds_an_offloaded_segment_and_two_milliseconds(bits_per_s: int) -> None:
    burst = int(words(bits_per_s)["burst"])

    assert burst > 65_536
    assert burst >= bits_per_s / 8 * 0.002


def test_what_a_killed_run_left_is_replaced() -> None:
    assert list(shaping(1))[:6] == ["qdisc", "replace", "dev", "eth0", "root", "tbf"]
