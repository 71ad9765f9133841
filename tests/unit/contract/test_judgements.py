"""What each measurement comes to, in numbers: no container is needed to judge one."""

from typing import Any

import pytest

from lab.contract.model import Told, Verdict
from lab.contract.rules.conditions import judge_condition
from lab.contract.rules.entrypoint import judge_entry
from lab.contract.rules.invoke import (
    cure_of,
    in_chunks,
    judge_chunked,
    judge_invocation,
    judge_kept,
    judge_paths,
    judge_refusal,
    judge_same,
    types_said,
)
from lab.contract.rules.lasting import judge_endurance, judge_under_load
from lab.contract.rules.ping import (
    judge_accepts,
    judge_concurrent,
    judge_first,
    judge_loaded_pings,
    judge_pings,
    judge_workers,
)
from lab.contract.rules.sizes import (
    SIZES,
    alike,
    judge_answer,
    judge_size,
    largest_taken,
    padded,
    refused,
)
from lab.contract.rules.start import Blame, blame, judge_start_time
from lab.contract.rules.start import unready as told_of
from lab.contract.rules.stop import (
    Stop,
    judge_arrives,
    judge_half_sent,
    judge_in_flight,
    judge_sigterm,
    other_signal,
)
from lab.contract.running.asking import Endurance
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import LargestAnswer
from lab.contract.running.load import PingLoad
from lab.contract.running.procfs import Listening
from lab.contract.running.readiness import NeverReady, Unready
from lab.start.cause import Cause, CauseKind
from lab.start.explain import Explanation
from tests.fidelity import OURS, fidelity
from tests.unit.contract.makers import answered

MIB = 1024 * 1024
PASS, WARN, FAIL, SKIP = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
NEVER = CauseKind.NEVER_READY


def unready(kind: CauseKind, **seen: Any) -> Unready:
    return Unready(kind=kind, message="It did not get ready.", **seen)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0.4, PASS), (180, PASS), (181, WARN), (480, WARN), (481, FAIL)]
)
def test_a_start_is_held_against_serverless_and_real_time(seconds: float, verdict: Verdict) -> None:
    assert judge_start_time(seconds)[0] is verdict


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (unready(CauseKind.ENGINE), Blame.ENGINE),
        (unready(CauseKind.EARLY_EXIT, exit_code=1), Blame.SERVE),
        (unready(CauseKind.OOM), Blame.SERVE),
        (unready(NEVER, accepting=True, last_ping_status=404), Blame.PING),
        (unready(NEVER, accepting=True, last_ping_status=503), Blame.TIME),
        (unready(NEVER, accepting=True, slow_ping=True), Blame.PING),
        (unready(NEVER, accepting=True, listening=()), Blame.TIME),
        (unready(NEVER, listening=()), Blame.TIME),
        (unready(NEVER, listening=None), Blame.PORT),
        (unready(NEVER, listening=[Listening(port=5000, loopback=False)]), Blame.PORT),
        (unready(NEVER, listening=[Listening(port=8080, loopback=True)]), Blame.PORT),
        (unready(NEVER, listening=[Listening(port=8080, loopback=False)]), Blame.PING),
    ],
)
def test_a_container_that_does_not_get_ready_breaks_one_rule(
    seen: Unready, expected: Blame
) -> None:
    assert blame(seen) is expected


def test_a_death_is_told_with_its_cause_a_cure_that_fits_and_its_log() -> None:
    found = Explanation(kind="missing_module", what="x is missing", line="", cure="Install it.")
    died = unready(CauseKind.EARLY_EXIT, exit_code=1, log="Traceback\nlast", explanation=found)
    assert told_of(NeverReady(died)) == Told(
        verdict=FAIL,
        seen="It did not get ready",
        data={"cause": "missing_module", "exit_code": 1, "log": "Traceback\nlast"},
        change="Install it.",
        log="Traceback\nlast",
    )


def test_a_death_that_nothing_explains_is_told_with_its_last_line() -> None:
    told = told_of(NeverReady(unready(NEVER, log="one\ntwo")))
    assert told.seen == "It did not get ready; last line of its log: two"
    assert told.change == ""


def test_pings_must_all_be_200_and_within_2_s() -> None:
    assert judge_pings([answered(), answered(seconds=0.02)]) == (PASS, "slowest of 2: 20.0 ms")
    assert judge_pings([answered(), answered(seconds=1.2)])[0] is WARN
    assert judge_pings([answered(), answered(seconds=2.1)]) == (
        FAIL,
        "1 of 2 pings took more than 2 s; slowest of 2: 2.10 s",
    )
    assert judge_pings([answered(), answered(503)]) == (FAIL, "1 of 2 pings failed: 503 in 10.0 ms")


def test_connections_must_be_accepted_within_250_ms() -> None:
    assert judge_accepts([answered(connect_s=0.25)])[0] is PASS
    assert judge_accepts([answered(connect_s=0.26), answered()])[0] is FAIL
    assert judge_accepts([answered(None, connect_s=None)]) == (
        FAIL,
        "1 of 1 were not accepted: connection refused",
    )


def test_a_first_invocation_that_waits_for_the_model_is_told_from_a_cool_one() -> None:
    steady = [answered(seconds=0.02)] * 5
    assert judge_first(answered(seconds=0.05), steady)[0] is PASS
    assert judge_first(answered(seconds=0.5), steady)[0] is WARN
    assert judge_first(answered(seconds=3), steady) == (
        FAIL,
        (
            "first invocation 3.00 s, later ones 20.0 ms: the first request waited for the model: "
            "/ping answered 200 before it was loaded"
        ),
    )
    assert judge_first(answered(seconds=0.5), steady)[1].endswith(
        "the first request was slow (framework warm-up)"
    )
    assert judge_first(answered(503), steady)[0] is FAIL
    assert judge_first(answered(seconds=12), [answered(seconds=11)])[0] is PASS


def test_every_request_under_load_must_be_answered_well() -> None:
    load = PingLoad(clients=8, seconds=2.0, invocations=[answered()] * 20)
    assert judge_concurrent(load) == (PASS, "8 clients, 10 requests/s, median 10.0 ms")
    load.invocations.append(answered(503))
    assert judge_concurrent(load)[0] is FAIL


def test_an_invocation_is_held_against_60_s() -> None:
    assert judge_invocation(answered())[0] is PASS
    assert judge_invocation(answered(seconds=31))[0] is WARN
    assert judge_invocation(answered(400, body=b"no\n such")) == (FAIL, "400 in 10.0 ms: no such")
    assert judge_invocation(answered(None, seconds=60))[0] is FAIL


def test_a_body_refused_for_its_size_is_told_with_what_is_taken() -> None:
    serverless, real_time, newer = SIZES
    told = judge_size(answered(413), real_time, takes=5 * MIB)
    assert (told.verdict, told.up_to_bytes) == (WARN, 5 * MIB)
    assert told.seen == "6 MB: 413 in 10.0 ms; it takes 5 MB"
    closed = judge_size(answered(None), serverless, takes=MIB)
    assert (closed.verdict, closed.up_to_bytes) == (FAIL, MIB)
    assert "without an answer" in closed.change
    assert judge_size(answered(413), newer, takes=10 * MIB).up_to_bytes is None
    assert judge_size(answered(400), serverless).verdict is PASS
    failed = judge_size(answered(500), serverless)
    assert (failed.verdict, failed.up_to_bytes) == (WARN, None)


@pytest.mark.parametrize(
    ("headers", "cure"),
    [
        ({"server": "nginx/1.26"}, "client_max_body_size"),
        ({"x-powered-by": "Express"}, "express.json({limit"),
        ({}, ""),
    ],
)
def test_the_limit_to_raise_is_that_of_the_server_that_refuses(
    headers: dict[str, str], cure: str
) -> None:
    change = judge_size(answered(413, headers=headers), SIZES[0], takes=MIB).change
    assert (cure in change) if cure else change == ""


def test_a_slow_answer_to_a_large_body_is_not_called_a_limit_of_size() -> None:
    late = answered(None, seconds=60, error="timed out")
    told = judge_size(late, SIZES[0])
    assert (told.verdict, told.up_to_bytes) == (FAIL, None)
    assert "No limit of size is in the way" in told.change


def test_a_body_that_is_refused_as_a_small_one_is_has_nothing_to_do_with_size() -> None:
    assert alike(answered(413), answered(413))
    assert alike(answered(500), answered(500))
    assert alike(answered(None), answered(None))
    assert not alike(answered(200), answered(413))
    assert not alike(answered(400), answered(400))  # an answer about what is in it


def test_spaces_after_json_change_nothing_so_that_any_4xx_is_about_the_size() -> None:
    assert refused(answered(400), harmless=True)
    assert not refused(answered(400), harmless=False)
    assert refused(answered(413), harmless=False)
    assert not refused(answered(None, error="timed out"), harmless=True)


@pytest.mark.parametrize(
    ("limit", "low", "high", "found"),
    [
        (5 * MIB, 4 * MIB, 6 * MIB, 5 * MIB),
        (MIB, 30, 4 * MIB, MIB),
        (10 * MIB + 7, 6 * MIB, 25 * MIB, 10 * MIB),
        (100 * 1024, 30, 4 * MIB, 64 * 1024),
        (100, 30, 4 * MIB, 1024),
    ],
)
def test_the_largest_body_is_found_with_few_requests(
    limit: int, low: int, high: int, found: int
) -> None:
    asked: list[int] = []

    def taken(size: int) -> bool:
        asked.append(size)
        return size <= limit

    assert largest_taken(taken, low=low, high=high) == found
    assert len(asked) <= 12


def test_the_size_of_an_answer_costs_the_kinds_whose_limit_it_exceeds() -> None:
    none = LargestAnswer()
    assert judge_answer(100, none).verdict is PASS
    five = judge_answer(5 * MIB, none)
    assert (five.verdict, five.not_for) == (FAIL, ["serverless"])
    assert five.seen == "5.0 MB, more than 4 MB, the limit of serverless"
    assert judge_answer(26 * MIB, none).not_for == ["serverless", "real time", "multi-model"]
    grown = judge_answer(100, LargestAnswer(asked_bytes=4 * MIB, said_bytes=5 * MIB))
    assert (grown.verdict, grown.not_for) == (WARN, ())
    assert "grows with the request" in grown.seen


def test_sizes_are_rules_of_their_own() -> None:
    assert [size.rule for size in SIZES] == ["payload-4mb", "payload-6mb", "payload-25mb"]


def test_refusals_may_be_anything_but_silence_and_are_best_4xx() -> None:
    assert judge_refusal([("empty", answered(400))], "") == (PASS, "empty: 400")
    assert judge_refusal([("empty", answered(500))], "")[0] is WARN
    assert judge_refusal([("empty", answered(None))], "")[0] is FAIL
    assert judge_refusal([("empty", answered(400))], "it died") == (FAIL, "it died")


def test_what_should_not_matter_must_not() -> None:
    assert judge_same(answered(), answered(), what="headers")[0] is PASS
    assert judge_same(answered(), answered(400), what="headers")[0] is FAIL


def test_a_connection_is_kept_or_closed_openly() -> None:
    assert judge_kept([answered()] * 5) == (PASS, "5 requests on one connection")
    assert judge_kept([answered()]) == (WARN, "the server closes the connection after 1")
    assert judge_kept([answered(), answered(None)])[0] is FAIL
    assert judge_kept([answered(None)])[0] is FAIL


def test_chunks_are_a_warning_unless_they_kill() -> None:
    assert judge_chunked(answered(), answered(), "")[0] is PASS
    assert judge_chunked(answered(), answered(411), "")[0] is WARN
    assert judge_chunked(answered(), answered(None), "it died")[0] is FAIL


def test_unknown_paths_may_be_answered_with_anything() -> None:
    assert judge_paths([("HEAD /ping", answered(501))], "")[0] is PASS
    assert judge_paths([("HEAD /ping", answered(None))], "")[0] is FAIL


def test_a_chunked_body_ends_as_it_must() -> None:
    sent = in_chunks(b"x" * 5000, "text/csv")
    assert sent.endswith(b"\r\n388\r\n" + b"x" * 904 + b"\r\n0\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in sent
    assert b"Content-Length" not in sent


def test_a_body_is_padded_with_what_its_reader_ignores() -> None:
    assert padded(b"{}", "application/json", 5) == b"{}   "
    assert padded(b"1,2", "text/csv", 5) == b"1,2\n\n"
    assert padded(b"\xff\xd8", "image/jpeg", 3) == b"\xff\xd8\0"


def test_a_condition_is_kept_when_it_starts_and_answers_as_usual() -> None:
    assert judge_condition(0.4, 0.4, answered())[0] is PASS
    assert judge_condition(0.4, 0.4, None)[0] is PASS
    assert judge_condition(9.0, 0.4, answered())[0] is WARN
    assert judge_condition(0.4, 0.4, answered(500))[0] is FAIL


def stop(code: int, *, took_s: float = 0.2, one: tuple[str, ...] | None = ("python3",)) -> Stop:
    return Stop(process_one=one, took_s=took_s, exit_code=code)


def test_a_shell_that_keeps_sigterm_is_told_from_a_server_that_ignores_it() -> None:
    kept = stop(137, took_s=30.1, one=("/bin/sh", "-c", "python3 serve.py"))
    assert (judge_arrives(kept)[0], judge_sigterm(kept)[0]) == (FAIL, SKIP)
    ignored = stop(137, took_s=30.1)
    assert (judge_arrives(ignored)[0], judge_sigterm(ignored)[0]) == (PASS, FAIL)
    forwarded = stop(0, one=("bash", "/start.sh"))
    assert (judge_arrives(forwarded)[0], judge_sigterm(forwarded)[0]) == (PASS, PASS)
    unseen = stop(137, took_s=30.1, one=None)
    assert (judge_arrives(unseen)[0], judge_sigterm(unseen)[0]) == (SKIP, FAIL)


def test_the_exit_code_of_a_stop_is_clean_or_a_warning() -> None:
    assert judge_sigterm(stop(0))[0] is PASS
    assert judge_sigterm(stop(143))[0] is PASS
    assert judge_sigterm(stop(1))[0] is WARN


def test_an_image_s_own_stop_signal_is_said_to_be_none_of_sagemaker_s() -> None:
    assert [other_signal(one) for one in (None, "", "SIGTERM", "TERM", "15")] == [""] * 5
    assert "STOPSIGNAL SIGQUIT is not sent" in other_signal("SIGQUIT")


def test_only_requests_sent_before_the_signal_and_not_yet_answered_count() -> None:
    before = answered(sent_at=1.0, ended_at=2.0)
    flying = answered(sent_at=9.9, ended_at=10.2)
    lost = answered(None, sent_at=9.9, ended_at=10.2)
    after = answered(None, sent_at=10.1, ended_at=10.2)
    assert judge_in_flight([before, after], 10.0)[0] is PASS
    assert judge_in_flight([before, flying, after], 10.0) == (
        PASS,
        "1 in flight, all answered within 200 ms of SIGTERM",
    )
    assert judge_in_flight([before, flying, lost], 10.0)[0] is FAIL


@fidelity(
    "Answers",
    "`lab contract check` fails an image whose /invocations redirects: the page would be taken for "
    "a prediction.",
    OURS,
    "AWS says nothing, and answers with success",
)
def test_a_redirect_is_told_with_where_it_points_and_what_becomes_of_it() -> None:
    answer = answered(307, body=b"moved", headers={"location": "/invocations/"})
    seen = (
        "/invocations answers 307 (Location: /invocations/): SageMaker follows no redirect, the "
        "caller gets this page as the prediction"
    )
    assert judge_invocation(answer) == (FAIL, seen)


# --- cures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (answered(None, seconds=60, error="timed out"), ""),
        (answered(None), "what ended the process"),
        (answered(500), "the container's log"),
        (answered(502), "front server"),
        (answered(413), "30 bytes for its size"),
        (answered(404), "does not know that path"),
        (answered(405), "POST"),
        (answered(401), "without credentials"),
        (answered(307), "Answer POST /invocations itself"),
        (answered(400), "--payload FILE --content-type TYPE"),
        (answered(415, body=b'{"supported": ["text/csv"]}'), "takes text/csv"),
    ],
)
def test_the_cure_of_an_invocation_fits_what_was_answered(answer: HttpCall, cure: str) -> None:
    said = cure_of(answer, content_type="application/json", size=30)
    assert (cure in said) if cure else said == ""


def test_the_types_that_a_server_says_it_takes_are_found_wherever_it_says_so() -> None:
    said = answered(415, body=b"only text/csv or image/png.", headers={"accept": "text/csv, */*"})
    assert types_said(said, besides="application/json") == ["text/csv", "image/png"]
    assert types_said(answered(400, body=b"application/json"), besides="application/json") == []


# --- going on ------------------------------------------------------------------------------------


def test_a_server_that_ends_after_some_invocations_is_told_by_which() -> None:
    kept = Endurance(answers=[answered()] * 20, in_a_row=20)
    assert judge_endurance(kept) == (PASS, "20 identical invocations in a row")
    died = Cause(kind=CauseKind.EARLY_EXIT, message="The container exited with code 7.")
    gone = Endurance(answers=[answered(), answered(None)], death=died, before=1)
    assert judge_endurance(gone) == (
        FAIL,
        "at invocation 3 of this container: The container exited with code 7.",
    )
    worker = Endurance(answers=[answered(), answered(None, error="closed")])
    assert "the container lives on" in judge_endurance(worker)[1]
    flaky = Endurance(answers=[answered(), answered(500), answered(), answered(500)])
    assert judge_endurance(flaky)[1].startswith("2 of 4 identical invocations failed: 500")
    late = Endurance(answers=[answered(None, error="timed out")])
    assert judge_endurance(late, emulated=True)[0] is SKIP


def test_one_that_does_not_outlive_the_load_is_told_so() -> None:
    load = PingLoad(clients=8, seconds=2.0, invocations=[answered()] * 30)
    assert judge_under_load(load) == (PASS, "30 from 8 clients")
    load.death = Cause(kind=CauseKind.OOM, message="It ran out of memory.")
    assert judge_under_load(load)[0] is FAIL


# --- workers, backlog, signals -------------------------------------------------------------------


def test_a_worker_without_its_model_is_told_from_a_limit_of_concurrency() -> None:
    late = [answered(500, body=b"no model"), answered(), answered(500), answered()]
    verdict, seen = judge_workers(late, [answered()] * 8, processes=3)
    assert verdict is FAIL
    assert seen.startswith("2 of the first 4 requests failed, between others that did not")
    assert "of its 3 processes some had not loaded the model yet" in seen
    busy = [answered(503), answered()]
    assert judge_workers(busy, busy, processes=3)[0] is PASS


def test_a_worker_that_loads_at_its_first_request_is_found_by_its_time() -> None:
    early = [answered(seconds=0.02)] * 6 + [answered(seconds=4.0)]
    later = [answered(seconds=0.03)] * 8
    assert judge_workers(early, later, processes=3)[0] is FAIL
    assert judge_workers(early, later, processes=3, emulated=True)[0] is PASS
    queued = [answered(seconds=4.0)] * 8
    assert judge_workers(queued, queued, processes=3)[0] is PASS


def test_a_full_backlog_is_told_once() -> None:
    missed = answered(None, seconds=5, connect_s=None, error="connecting: timed out")
    slow = answered(seconds=1.1, connect_s=1.05)
    load = PingLoad(clients=8, seconds=5.0, pings=[missed, slow, slow, answered()])
    assert judge_loaded_pings(load)[0] is SKIP
    assert "see accept" in judge_loaded_pings(load)[1]
    assert judge_accepts(load.connections)[0] is FAIL
    blocked = PingLoad(clients=8, seconds=5.0, pings=[answered(), answered(seconds=3.0)])
    assert judge_loaded_pings(blocked)[0] is FAIL
    load.invocations = [answered(), missed]
    assert judge_concurrent(load)[0] is SKIP


def test_a_request_that_was_half_sent_at_sigterm_must_be_answered() -> None:
    assert judge_half_sent(answered())[0] is PASS
    verdict, seen = judge_half_sent(answered(None, error="the server closed the connection"))
    assert verdict is FAIL
    assert "half of it sent before SIGTERM" in seen
    assert judge_half_sent(answered(503))[0] is FAIL


def test_no_entry_point_but_a_program_called_serve_is_a_documented_way() -> None:
    assert judge_entry([], [], serves=True)[0] is PASS
    assert judge_entry([], ["python3", "app.py"], serves=False)[0] is WARN
    assert judge_entry([], [])[0] is WARN
