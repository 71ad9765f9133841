import pytest

from lab.bench.emulator import Arm, Burst, Cold, EmulatorBenchOptions, LoadRound, Measured, Overhead
from lab.bench.emulator_result import rows, summarise

OPTIONS = EmulatorBenchOptions(rounds=8)


def burst(**changes: int | None) -> Burst:
    parts = {"sent": 50, "answered": 2, "throttled": 48, "lost": 0, "counted": 2, "expected": 2}
    return Burst(what="cold", **{**parts, **changes})  # type: ignore[arg-type]


def measured(
    *, boto3_ms: float = 1.2, errors: int = 0, cold: float = 1.05, own_ms: float = 0.3
) -> Measured:
    times = {
        Arm.DIRECT: 0.0001,
        Arm.EMULATOR: 0.0001 + own_ms / 1000,
        Arm.BOTO3: 0.0001 + boto3_ms / 1000,
    }
    return Measured(
        overheads=[Overhead(payload="small", p50_s=times)] * 8,
        loads=[LoadRound(requests=6000, errors=errors, seconds=3.0)] * 8,
        colds=[Cold(endpoint_s=cold, direct_s=1.0)] * 8,
        bursts=[burst()],
    )


def test_everything_within_its_promise_is_reached() -> None:
    result = summarise(measured(), OPTIONS)
    (overhead,) = result.overheads
    assert overhead.overhead_s.value == pytest.approx(0.0012)
    assert overhead.emulator_s.value == pytest.approx(0.0003)
    assert result.rps.value == pytest.approx(2000)
    assert result.cold_ratio.value == pytest.approx(1.05)
    assert result.reached


@pytest.mark.parametrize(
    "worse", [{"boto3_ms": 2.1}, {"own_ms": 0.8}, {"errors": 1}, {"cold": 1.11}]
)
def test_one_figure_beyond_its_promise_is_enough(worse: dict[str, float]) -> None:
    assert not summarise(measured(**worse), OPTIONS).reached  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1, "throttled": 47},
        {"throttled": 47},
        {"counted": 3},
        {"answered": 3, "throttled": 47, "counted": 3},
    ],
)
def test_a_burst_with_a_lost_doubled_or_needless_answer_is_not_exact(wrong: dict[str, int]) -> None:
    assert burst().exact
    assert not burst(**wrong).exact


def test_the_table_says_figure_promise_and_verdict() -> None:
    found = rows(summarise(measured(), OPTIONS))
    assert [row.reached for row in found] == [True] * 5
    assert found[0].figure == "+0.30 (0.30 to 0.30) ms"
    assert found[1].figure == "+1.20 (1.20 to 1.20) ms"
    assert found[3].figure == "x 1.050 (1.050 to 1.050)"
