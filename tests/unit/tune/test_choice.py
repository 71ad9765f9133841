import pytest

from lab.loadtest.record import Objective
from lab.tune.choice import choose, frontier, push_flags, sentence
from lab.tune.result import MoneyFigures, SizeOutcome, SizeResult
from tests.unit.tune.scripted import P95_300, cold_figures, latencies, result, sized, tune


def said(*sizes: SizeResult, objective: Objective | None = P95_300) -> str:
    return sentence(sizes, objective, choose(sizes, objective))


def test_the_frontier_holds_what_nothing_beats_in_both() -> None:
    sizes = [
        result("1024", 0.30, 0.400),
        result("2048", 0.41, 0.212),
        result("3072", 0.50, 0.220),
        result("4096", 0.60, 0.150),
        result("5120", None, 0.100),
        result("6144", 0.70, None),
    ]
    assert frontier(sizes) == ["1024", "2048", "4096"]


def test_of_two_that_cost_the_same_the_quicker_is_on_the_frontier() -> None:
    assert frontier([result("1024", 1.0, 0.3), result("2048", 1.0, 0.2)]) == ["2048"]


def test_the_cheapest_that_keeps_the_objective_is_chosen() -> None:
    sizes = [result("1024", 0.30, 0.4), result("2048", 0.41, 0.21), result("3072", 0.5, 0.1)]
    chosen = choose(sizes, P95_300)
    assert chosen is not None
    assert chosen.name == "2048"


def test_without_an_objective_the_cheapest_is_chosen() -> None:
    sizes = [
        result("1024", 0.30, 0.4, objective=None),
        result("2048", 0.41, 0.21, objective=None),
    ]
    chosen = choose(sizes, None)
    assert chosen is not None
    assert chosen.name == "1024"


def test_the_sentence_says_money_latency_cold_and_why_nothing_cheaper_will_do() -> None:
    assert said(result("1024", 0.30, 0.412), result("2048", 0.41, 0.212)) == (
        "2 GB serverless: $0.41 a day, p95 212 ms, cold 3.40 s for 0.8 % of requests; the next "
        "cheaper one, 1 GB serverless, breaks the objective (p95 412 ms)"
    )


def test_a_size_that_the_machine_lacks_never_wins_without_at_least() -> None:
    assert "at least as fast as that, for it was given 2 of 2.32 vCPU" in said(
        result("4096", 0.41, 0.212)
    )


def test_a_killed_size_is_told_with_what_it_lacked() -> None:
    killed = SizeResult(
        size=sized("1024"), outcome=SizeOutcome.KILLED, failure="killed", missed_by=132_000_000
    )
    assert said(killed, result("2048", 0.41, 0.212)).endswith(
        "; the next smaller one, 1 GB serverless, is killed for want of memory, by 132 MB"
    )


def test_more_cold_requests_than_the_objective_leaves_out_are_told() -> None:
    money = MoneyFigures(usd_per_million=1, usd_per_day=1, usd_per_month=1, cold_share=0.07)
    assert "for 7 % of requests (more than the 5 % that the objective leaves out)" in said(
        result("2048", 0.41, 0.212, money=money)
    )


def test_a_latency_that_may_be_above_the_objective_is_told() -> None:
    near = result("2048", 0.41, 0.290, warm=latencies(0.290, high=0.311))
    assert "p95 290 ms (which may be 311 ms)" in said(near)


def test_without_traffic_a_million_requests_are_priced() -> None:
    money = MoneyFigures(usd_per_million=6.2, usd_per_day=None, usd_per_month=None)
    one = result("2048", None, 0.2, money=money)
    assert said(one).startswith("2 GB serverless: $6.20 per million requests, p95 200 ms, cold 3.4")


def test_instances_are_counted_and_their_start_is_no_cold_request() -> None:
    money = MoneyFigures(usd_per_million=1, usd_per_day=8.28, usd_per_month=251, instances=3)
    one = result("ml.m5.large", 8.28, 0.2, money=money, cold=cold_figures(3.4))
    assert said(one).startswith(
        "ml.m5.large: 3 instances, $8.28 a day, p95 200 ms, 3.40 s to start; none is cheaper"
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (
            [result("1024", 0.3, 0.5), result("2048", 0.4, 0.412)],
            "No size keeps p95 at most 300 ms: the quickest, 2 GB serverless, takes 412 ms.",
        ),
        (
            [result("6144", 0.3, 0.5)],
            f"No size keeps {P95_300}: the quickest, 6 GB serverless, takes 500 ms at most.",
        ),
        (
            [result("ml.m5.large", None, 0.1, money=None)],
            "No size that could be taken has a price: ml.m5.large.",
        ),
        (
            [SizeResult(size=sized("1024"), outcome=SizeOutcome.KILLED)],
            "No size serves: each is killed for want of memory.",
        ),
        ([result("1024", 0.3, None)], "No size was measured long enough to be judged."),
    ],
)
def test_where_nothing_can_be_chosen_the_sentence_says_why(
    sizes: list[SizeResult], expected: str
) -> None:
    assert said(*sizes) == expected


def test_a_type_without_a_price_is_named_where_none_is_cheaper() -> None:
    sizes = [result("2048", 0.41, 0.2), result("ml.m5.large", None, 0.1, money=None)]
    assert said(*sizes).endswith("none that has a price is cheaper (ml.m5.large has none)")


def test_a_variant_s_flags_are_all_that_a_push_needs() -> None:
    ours = tune(["2048"], name="onnx-slim", model="retinopathy-mobilenet")
    found = push_flags(ours, result("2048", 0.41, 0.2))
    assert found is not None
    assert found.command == (
        'make push-aws ARGS="--variant onnx-slim --model retinopathy-mobilenet --kind serverless '
        '--memory 2048"'
    )
    assert not found.note


def test_as_many_containers_as_the_traffic_needs_are_asked_for() -> None:
    money = MoneyFigures(usd_per_million=1, usd_per_day=1, usd_per_month=1, peak_containers=12)
    found = push_flags(tune(["2048"]), result("2048", 1.0, 0.2, money=money))
    assert found is not None
    assert found.flags == ("--kind", "serverless", "--memory", "2048", "--max-concurrency", "12")
    assert "image of yours" in found.note


def test_an_instance_s_flags_name_type_and_number() -> None:
    money = MoneyFigures(usd_per_million=1, usd_per_day=1, usd_per_month=1, instances=2)
    found = push_flags(tune(["ml.m5.large"]), result("ml.m5.large", 1.0, 0.2, money=money))
    assert found is not None
    assert found.flags[:4] == ("--kind", "real-time", "--instance-type", "ml.m5.large")
    assert found.flags[4:] == ("--instances", "2")


def test_nothing_chosen_is_nothing_to_push() -> None:
    assert push_flags(tune(["2048"]), None) is None
