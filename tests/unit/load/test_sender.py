"""The open-loop sender: it keeps to instants, waits for nobody, and writes down all."""

import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab import wire
from lab.load.job import ClosedPart, SenderJob, SenderState
from lab.load.requests import Requests
from lab.load.sender import Sender
from tests.unit.load.scripted import OK, Served, late, served


def job(
    tmp_path: Path,
    server: Served,
    instants: Sequence[float] = (),
    *,
    bodies: Sequence[bytes] = (b"{}",),
    **more: Any,
) -> SenderJob:
    """Of one payload, unless ``bodies`` says more; without instants a closed loop."""
    prepared = []
    for place, body in enumerate(bodies):
        path = tmp_path / f"request-{place}"
        path.write_bytes(wire.request("POST", "/invocations", host="x", body=body))
        prepared.append(str(path))
    when = tmp_path / "instants"
    when.write_bytes(array("d", instants).tobytes())
    return SenderJob(
        host=server.address[0],
        port=server.address[1],
        prepared=prepared,
        weights=[1.0] * len(prepared),
        out=str(tmp_path / "requests.csv"),
        instants=str(when) if instants else None,
        **more,
    )


def sent(job: SenderJob) -> tuple[SenderState, Requests]:
    """The job, done."""
    state = Sender(job, tell=lambda _: None).run()
    return state, Requests.read(Path(job.out))


def test_requests_are_sent_at_their_instants_whatever_the_answers_take(tmp_path: Path) -> None:
    with served(lambda _: late(0.3)) as server:
        state, found = sent(job(tmp_path, server, [0.0, 0.05, 0.1, 0.15]))
    assert found.intended_s.tolist() == [0.0, 0.05, 0.1, 0.15]
    assert (found.late_s >= 0).all()
    assert found.answered.all()
    assert server.connections == 4, "no request waited for the answer to another"
    assert (state.sent, state.done, state.failed, state.ended) == (4, 4, 0, "done")


def test_latency_counts_from_the_intended_instant(tmp_path: Path) -> None:
    with served() as server:
        _, found = sent(job(tmp_path, server, [0.0, 0.1]))
    assert np.allclose(found.latency_s, found.done_s - [0.0, 0.1])
    assert (found.latency_s >= found.late_s).all()
    assert (found.first_byte_s <= found.done_s).all()


def test_connections_are_kept_and_used_again(tmp_path: Path) -> None:
    with served() as server:
        sent(job(tmp_path, server, [0.05 * n for n in range(6)]))
    assert len(server.bodies) == 6
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_no_failure(tmp_path: Path) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with served(lambda _: closing) as server:
        _, found = sent(job(tmp_path, server, [0.0, 0.1, 0.2]))
    assert found.answered.all()
    assert server.connections == 3


def test_a_body_larger_than_the_kernel_takes_at_once_arrives_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 40_000
    with served() as server:
        _, found = sent(job(tmp_path, server, [0.0, 0.0], bodies=[body]))
    assert server.bodies == [body, body]
    assert found.answered.all()


def test_a_server_that_closes_without_an_answer_has_failed(tmp_path: Path) -> None:
    with served(lambda number: b"" if number == 1 else OK) as server:
        state, found = sent(job(tmp_path, server, [0.0, 0.0, 0.0]))
    assert found.failed.sum() == 1
    assert state.failed == 1
    assert "closed the connection" in "".join(found.error)


def test_nobody_listening_fails_every_request_and_says_why(tmp_path: Path) -> None:
    with served() as server:
        pass
    _, found = sent(job(tmp_path, server, [0.0, 0.02, 0.04]))
    assert found.failed.all()
    assert set(found.error) == {"Connection refused"}
    assert found.status.tolist() == [0, 0, 0]


def test_an_answer_that_never_comes_fails_when_the_time_is_up(tmp_path: Path) -> None:
    forever = threading.Event()

    def silent(_: int) -> bytes:
        forever.wait(20)
        return OK

    with served(silent) as server:
        _, found = sent(job(tmp_path, server, [0.0], timeout_s=0.2))
        forever.set()
    assert found.error == ["no answer within 0.2 s"]


def test_throttled_requests_are_counted_apart(tmp_path: Path) -> None:
    throttled = (
        b"HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: ThrottlingException:\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    with served(lambda number: OK if number == 0 else throttled) as server:
        state, found = sent(job(tmp_path, server, [0.0, 0.1, 0.2]))
    assert found.throttled.tolist() == [False, True, True]
    assert not found.failed.any()
    assert (state.throttled, state.failed, state.ended) == (2, 0, "done")


def test_a_payload_that_was_never_answered_well_stops_all_with_the_answer(tmp_path: Path) -> None:
    refused = b"HTTP/1.1 415 No\r\nContent-Length: 9\r\n\r\nno images"
    with served(lambda _: refused) as server:
        state, _ = sent(job(tmp_path, server, [0.0, 5.0, 10.0]))
    assert state.ended == "refused"
    assert state.refusal is not None
    assert (state.refusal.status, state.refusal.body) == (415, "no images")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("original", "status", "ended"),
    [(415, 415, "refused"), (500, 500, "done"), (0, 0, "done"), (200, 424, "refused")],
)
def test_an_error_of_the_model_has_the_model_s_own_status(
    tmp_path: Path, original: int, status: int, ended: str
) -> None:
    body = f'{{"Message": "no", "OriginalStatusCode": {original}}}'.encode()
    head = f"HTTP/1.1 424 F\r\nx-amzn-errortype: ModelError\r\nContent-Length: {len(body)}\r\n\r\n"
    with served(lambda _: head.encode() + body) as server:
        state, found = sent(job(tmp_path, server, [0.0]))
    assert found.status.tolist() == [status]
    assert found.error == ["ModelError"]
    assert state.ended == ended


def test_a_refusal_after_good_answers_stops_nothing(tmp_path: Path) -> None:
    refused = b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"
    with served(lambda number: refused if number == 1 else OK) as server:
        state, found = sent(job(tmp_path, server, [0.0, 0.1, 0.2]))
    assert state.ended == "done"
    assert found.failed.tolist() == [False, True, False]


def test_what_waited_for_a_container_is_cold(tmp_path: Path) -> None:
    cold = OK.replace(b"\r\n\r\n", b"\r\nx-cold: 1.25\r\n\r\n")
    warm = OK.replace(b"\r\n\r\n", b"\r\nx-cold: 0\r\n\r\n")
    with served(lambda number: [cold, warm, OK][number]) as server:
        state, found = sent(job(tmp_path, server, [0.0, 0.1, 0.2], cold_header="x-cold"))
    assert found.cold.tolist() == [1, 0, -1]
    assert state.cold == 1


def test_more_requests_under_way_than_allowed_are_told_and_not_sent(tmp_path: Path) -> None:
    with served(lambda _: late(0.3)) as server:
        state, found = sent(job(tmp_path, server, [0.0, 0.01, 0.02], under_way=2))
    assert state.overrun == 1
    assert found.error[2].startswith("not sent")


def test_payloads_are_drawn_by_weight_and_seed(tmp_path: Path) -> None:
    with served() as server:
        _, found = sent(job(tmp_path, server, [0.01] * 40, bodies=[b"a", b"b"], seed=3))
    drawn = found.payload.tolist()
    assert set(drawn) == {0, 1}
    assert sorted(server.bodies) == sorted([b"a", b"b"][one] for one in drawn)


def test_a_second_sitting_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    with served() as server:
        sent(job(tmp_path, server, [0.0, 0.05]))
        _, found = sent(job(tmp_path, server, [0.0, 0.05, 7.0, 7.05], first=2, sitting=1))
    assert found.number.tolist() == [0, 1, 2, 3]
    assert found.sitting.tolist() == [0, 0, 1, 1]
    assert found.intended_s.tolist() == [0.0, 0.05, 7.0, 7.05]
    assert (found.late_s < 7).all()


def test_what_is_left_has_failed_once_the_target_is_known_to_have_died(tmp_path: Path) -> None:
    gone, over = tmp_path / "gone", threading.Event()

    def dying(number: int) -> bytes:
        if not number:
            return OK
        gone.write_text("it ran out of memory")
        over.wait(60)
        return b""

    with served(dying) as server:
        wanted = job(tmp_path, server, [0.0, 0.1, 20.0, 40.0], gone=str(gone))
        state, found = sent(wanted)
        over.set()
    assert found.status.tolist() == [200, 0, 0, 0]
    not_sent = "not sent: it ran out of memory"
    assert list(found.error) == ["", "it ran out of memory", not_sent, not_sent]
    assert (state.ended, state.failed) == ("gone", 3)
    assert state.elapsed_s < 20


def test_a_closed_loop_sends_again_when_it_is_answered(tmp_path: Path) -> None:
    closed = ClosedPart(clients=2, requests=7)
    with served(lambda _: late(0.02)) as server:
        _, found = sent(job(tmp_path, server, closed=closed))
    assert len(found) == 7
    assert server.connections == 2
    assert (found.intended_s == found.sent_s).all()


def test_a_closed_loop_pauses_between_an_answer_and_the_next_request(tmp_path: Path) -> None:
    closed = ClosedPart(clients=1, requests=3, pause_s=0.1)
    with served() as server:
        _, found = sent(job(tmp_path, server, closed=closed))
    assert (found.sent_s[1:] - found.done_s[:-1] >= 0.0999).all()


def test_a_sender_that_is_stopped_keeps_what_was_answered(tmp_path: Path) -> None:
    with served() as server:
        sender = Sender(job(tmp_path, server, [0.0, 0.1, 60.0]), tell=lambda _: None)
        stopping = threading.Timer(0.8, sender.stop)
        stopping.start()
        state = sender.run()
    assert state.ended == "stopped"
    assert len(Requests.read(tmp_path / "requests.csv")) == 2


def test_a_line_that_a_crash_has_torn_is_left_out(tmp_path: Path) -> None:
    with served() as server:
        sent(job(tmp_path, server, [0.0, 0.01]))
    path = tmp_path / "requests.csv"
    path.write_text(path.read_text() + "2,0,0.5", encoding="utf-8")
    assert len(Requests.read(path)) == 2


@pytest.mark.parametrize("said", ["warning: x", "[1]", '{"refusal": null, "nonsense": 1}'])
def test_what_is_no_state_is_no_state(said: str) -> None:
    assert SenderState.parse(said) is None
