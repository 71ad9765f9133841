"""What each measurement comes to, in numbers: no container is needed to judge one."""

from typing import Any

import pytest

from lab.contract.model import Told, Verdict
from lab.contract.rules.conditions import judge_condition
from lab.contract.rules.invoke import (
    SIZES,
    in_chunks,
    judge_chunked,
    judge_invocation,
    judge_kept,
    judge_paths,
    judge_refusal,
    judge_same,
    judge_size,
    padded,
)
from lab.contract.rules.ping import judge_accepts, judge_concurrent, judge_first, judge_pings
from lab.contract.rules.start import Blame, blame, judge_start_time
from lab.contract.rules.start import unready as told_of
from lab.contract.rules.stop import Stop, judge_arrives, judge_in_flight, judge_sigterm
from lab.contract.running.load import PingLoad
from lab.contract.running.procfs import Listening
from lab.contract.running.readiness import NeverReady, Unready
from lab.start.cause import CauseKind
from lab.start.explain import Explanation
from tests.unit.contract.makers import answered

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
        "first invocation 3.00 s, later ones 20.0 ms: it waited for the model",
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


def test_a_body_refused_for_its_size_fails_where_aws_agrees_with_itself() -> None:
    serverless, real_time, newer = SIZES
    for size in (serverless, real_time):
        assert judge_size(answered(413), size)[0] is FAIL
        assert judge_size(answered(None), size)[0] is FAIL
        assert judge_size(answered(400), size)[0] is PASS
        assert judge_size(answered(500), size)[0] is WARN
    assert judge_size(answered(413), newer) == (WARN, "25 MB: 413 in 10.0 ms")


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
