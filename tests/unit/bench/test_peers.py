"""The servers beside others': exact figures out of scripted blocks."""

from typing import Any

import pytest

from lab.bench.peers import FASTAPI, OWN, PEERS, Arm, Way, arms, measure, summarise
from lab.bench.serving import ServeBenchOptions
from lab.load.clients import Block

OPTIONS = ServeBenchOptions(rounds=3, requests=3, clients=8, seed=1)
P50 = {"onnx": 0.0124, "onnx-slim": 0.0122, FASTAPI: 0.0130, "flask": 0.014}
RATE = {"onnx": 95.0, "onnx-slim": 100.0, FASTAPI: 90.0, "flask": 80.0}


def block(arm: Arm) -> Block:
    """In-process takes 12 ms and does 100 a second, whatever serves."""
    p50 = P50[arm.server] if arm.http else 0.012
    return Block(
        latencies_s=(p50, p50, 1.0), requests_per_s=RATE[arm.server] if arm.http else 100.0
    )


def test_every_round_runs_every_server_alone_and_crowded_in_an_order_of_its_own() -> None:
    ran: list[Arm] = []

    def run(arm: Arm) -> Block:
        ran.append(arm)
        return block(arm)

    rounds = measure(run, OPTIONS, lambda _: None)
    size = 2 * (2 * len(OWN) + len(PEERS))
    turns = [ran[at : at + size] for at in range(0, len(ran), size)]
    assert len(turns) == OPTIONS.rounds + 1
    assert len(rounds) == OPTIONS.rounds  # the first is warm-up
    assert all(set(turn) == set(arms(8)) and len(turn) == size for turn in turns)
    assert turns[0] != turns[1]


def test_what_is_to_be_reached_is_judged_by_ratios_within_a_round() -> None:
    result = summarise(measure(block, OPTIONS, lambda _: None), clients=8, way=Way.CONTAINERS)
    found: dict[Any, Any] = {
        (one.server, one.what): (one.figure.value, one.reached) for one in result.targets
    }
    assert found == {
        ("onnx", "p50 over in-process, ms"): (pytest.approx(0.0004), True),
        ("onnx", "p50 / FastAPI's"): (pytest.approx(12.4 / 13), True),
        ("onnx", "requests/s of 8 clients / in-process"): (pytest.approx(0.95), False),
        ("onnx", "requests/s of 8 clients / FastAPI's"): (pytest.approx(95 / 90), False),
        ("onnx-slim", "p50 over in-process, ms"): (pytest.approx(0.0002), True),
        ("onnx-slim", "p50 / FastAPI's"): (pytest.approx(12.2 / 13), True),
        ("onnx-slim", "requests/s of 8 clients / in-process"): (pytest.approx(1.0), True),
        ("onnx-slim", "requests/s of 8 clients / FastAPI's"): (pytest.approx(100 / 90), True),
    }


def test_every_server_is_shown_beside_fastapi() -> None:
    result = summarise(measure(block, OPTIONS, lambda _: None), clients=8, way=Way.PROCESSES)
    shown = {(row.server, row.http): (row.p50_s, row.rps) for row in result.rows}
    assert shown[FASTAPI, True] == (0.013, 90.0)
    assert shown["onnx", False] == (0.012, 100.0)
    (fastapi,) = (row for row in result.rows if row.server == FASTAPI)
    assert (fastapi.p50_of_fastapi.value, fastapi.rps_of_fastapi.value) == (1.0, 1.0)
