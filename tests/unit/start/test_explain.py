"""What a container died of, from its log and how it ended."""

import pytest

from lab.start.deaths import DEATHS
from lab.start.explain import Known, excerpt, explain
from lab.start.logtext import DIVIDER
from tests.unit.start.death_logs import BEHIND_NGINX, LOGS, UVICORN_WORKERS, DeathLog


@pytest.mark.parametrize("one", LOGS, ids=str)
def test_a_usual_death_is_known_by_its_log(one: DeathLog) -> None:
    found = one.explain()
    assert found is not None
    assert found.kind == one.kind
    assert one.says in found.words
    assert one.cure in found.cure
    assert "{" not in found.cure.replace("${", "")


def test_an_error_that_is_only_named_is_told_from_one_that_is_known() -> None:
    vague = {one.kind for one in LOGS if (found := one.explain()) is not None and found.vague}
    assert vague == {"exception", "error", "unknown", "silent", "ended"}


def test_every_kind_has_a_log_that_shows_it() -> None:
    shown = {one.kind for one in LOGS}
    # A GPU's memory, a program that is stopped: no more to them than the row says.
    assert {row.kind for row in DEATHS} - shown == {
        "gpu_out_of_memory",
        "stopped",
    }


@pytest.mark.parametrize("one", [one for one in LOGS if one.kind == "missing_module"], ids=str)
def test_who_lacks_a_module_is_not_told_to_change_the_entry_point(one: DeathLog) -> None:
    found = one.explain()
    assert found is not None
    assert "ENTRYPOINT" not in found.cure


def test_the_error_comes_first_though_it_stands_above_what_the_lab_asked() -> None:
    lines = excerpt(BEHIND_NGINX).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[lines.index(DIVIDER) - 1] == "ModuleNotFoundError: No module named 'packaging'"
    assert lines[-1] == "Inference server exiting"
    assert "GET /ping" not in "\n".join(lines)


def test_an_error_far_above_the_last_lines_is_found() -> None:
    asked = '172.17.0.1 - - [06/Oct/2024:10:00:01 +0000] "GET /ping HTTP/1.1" 502 150 "-" "-"\n'
    refused = (
        "2024/10/06 10:00:02 [error] 7#7: *{} connect() to unix:/tmp/gunicorn.sock failed (111: "
        'Connection refused) while connecting to upstream, client: 172.17.0.1, request: "GET /ping '
        'HTTP/1.1", upstream: "http://unix:/tmp/gunicorn.sock:/ping"\n'
    )
    log = BEHIND_NGINX + "".join(refused.format(at) + asked for at in range(400))
    found = explain(log, exit_code=None)
    assert found is not None
    assert found.kind == "missing_module"
    shown = excerpt(log, found)
    assert "ModuleNotFoundError" in shown
    assert shown.count("connect() to unix") == 1
    assert "(400 times)" in shown


def test_what_respawned_workers_repeat_is_said_once() -> None:
    shown = excerpt(UVICORN_WORKERS)
    assert shown.count("ModuleNotFoundError") == 1
    assert "(the same 2 times)" in shown
    assert "Child process [26] died" in shown


def test_a_log_without_an_error_is_its_last_lines() -> None:
    log = "\n".join(f"step {at}" for at in range(26))
    assert excerpt(log).splitlines() == [f"step {at}" for at in range(6, 26)]
    assert excerpt("") == ""


def test_an_error_on_one_line_comes_first_too() -> None:
    log = "exec: starting\nnginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\nbye"
    found = explain(log, exit_code=1)
    assert excerpt(log, found).splitlines()[0].startswith("nginx: [emerg]")


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    frames = "".join(f'  File "/a.py", line {at}, in f{at}\n    f()\n' for at in range(100))
    log = f"Traceback (most recent call last):\n{frames}RecursionError: too deep\n"
    lines = excerpt(log).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "RecursionError: too deep"
    assert len(lines) == 41
    assert any("left out" in line for line in lines)


ACCESS = [
    '172.17.0.1 - - [06/Oct/2024:10:00:01 +0000] "GET /ping HTTP/1.1" 200 2 "-" "-"',
    '127.0.0.1 - - [06/Oct/2024:10:00:01 +0000] "POST /invocations HTTP/1.0" 500 2',
    '172.17.0.1 - - [06/Oct/2024 10:00:00] "GET /ping HTTP/1.1" 200 -',
    '172.17.0.1 - - [06/Oct/2024 10:00:00] "\x1b[33mGET /ping HTTP/1.1\x1b[0m" 404 -',
    'INFO:     172.17.0.1:53312 - "GET /ping HTTP/1.1" 200 OK',
    'INFO:     172.17.0.1:53312 - "POST /invocations HTTP/1.1" 500 Internal Server Error',
    '[2024-10-06 10:00:00 +0000] [7] [INFO] 172.17.0.1:42 - - "GET /startup 1.1" 404 2 "-" "-"',
    '172.17.0.1 [06/Oct/2024:10:00:00 +0000] "GET /ping HTTP/1.1" 200 150 "-" "-"',
    '::ffff:172.17.0.1 - - [06/Oct/2024:10:00:00 +0000] "GET /ping HTTP/1.1" 200 2 "-" "-"',
    "::ffff:172.17.0.1 - GET /ping HTTP/1.1 200 2 - 0.412 ms",
    "GET /ping 200 1.234 ms - 2",
    "172.17.0.1 - - [06/Oct/2024 10:00:00] code 501, message Unsupported method ('POST')",
    "\x1b[0mGET /ping \x1b[32m200\x1b[0m 1.234 ms - 2\x1b[0m",
    (
        '2019-05-13 19:23:58,384 [INFO ] pool-1-thread-5 ACCESS_LOG - /172.17.0.1:40906 "GET /ping '
        'HTTP/1.1" 200 3'
    ),
    (
        "2020-07-30 14:49:31,633 [INFO ] epollEventLoopGroup-3-5 ACCESS_LOG - /127.0.0.1:43006 "
        '"GET /models HTTP/1.1" 200 3'
    ),
    "INFO:tornado.access:200 GET /ping (172.17.0.1) 0.55ms",
    '[GIN] 2024/10/06 - 10:00:00 | 200 |      1.2µs |      172.17.0.1 | GET      "/ping"',
    (
        "2024-10-06T10:00:00+0000 [INFO] [api_server:1] 172.17.0.1:37590 "
        "(scheme=http,method=GET,path=/ping,type=,length=) (status=200,type=text/plain) 0.4ms"
    ),
    (
        '{"level":30,"time":1728208800000,"pid":1,"reqId":"req-1","req":{"method":"GET","url":"/ping",'
        '"remoteAddress":"172.17.0.1"},"msg":"incoming request"}'
    ),
    'DEBUG 1 --- [nio-8080-exec-1] o.s.web.servlet.DispatcherServlet : GET "/ping", parameters={}',
    "(ServeReplica:default:app) INFO 2024-10-06 10:00:00 replica.py:373 - GET /ping 200 1.1ms",
]


@pytest.mark.parametrize("line", ACCESS)
def test_what_the_lab_asked_is_no_part_of_what_a_container_said(line: str) -> None:
    assert excerpt(f"the last word\n{line}\n") == "the last word"


@pytest.mark.parametrize(
    "line",
    [
        "ERROR POST /invocations failed: the model is broken",
        "[ERROR] Exception on /invocations [POST]",
        '2024/10/06 10:00:00 [error] 7#7: *1 upstream timed out, request: "GET /ping HTTP/1.1"',
    ],
)
def test_an_error_that_names_a_request_is(line: str) -> None:
    assert line in excerpt(line)


def test_what_was_logged_before_a_good_answer_did_not_end_it() -> None:
    log = (
        "Traceback (most recent call last):\n"
        '  File "/srv/app.py", line 3, in warm\n'
        "ModuleNotFoundError: No module named 'optional'\n"
        'INFO:     172.17.0.1:53312 - "GET /ping HTTP/1.1" 200 OK\n'
        "FATAL: out of licences\n"
    )
    found = explain(log, exit_code=3)
    assert found is not None
    assert "out of licences" in found.words


def test_a_warning_does_not_explain_a_death_that_an_error_does() -> None:
    log = (
        "WARNING: Permission denied: '/root/.cache'\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/app.py", line 3, in <module>\n'
        "ValueError: no weights\n"
    )
    found = explain(log, exit_code=1)
    assert found is not None
    assert found.what == "ValueError: no weights"


@pytest.mark.parametrize(
    "log",
    [
        "",
        "INFO: loading the model",
        "WARNING: libcudart.so.11.0: cannot open shared object file: No such file or directory",
        'INFO:     172.17.0.1:53312 - "GET /ping HTTP/1.1" 503 Service Unavailable',
    ],
)
def test_one_that_lives_and_reports_no_error_has_none(log: str) -> None:
    assert explain(log, exit_code=None) is None


def test_a_listing_of_many_files_is_cut() -> None:
    files = [f"{at:02}.bin" for at in range(20)]
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/model/model.bin'"
    found = explain(log, exit_code=1, known=Known(model_files=files))
    assert found is not None
    assert "07.bin and 12 more" in found.what
    assert "08.bin" not in found.what


def test_signals_are_told_by_a_shell_s_codes_and_by_python_s() -> None:
    for code in (139, -11):
        found = explain("loading", exit_code=code)
        assert found is not None
        assert found.kind == "segfault"


def test_what_python_reports_aside_ended_nothing() -> None:
    log = BEHIND_NGINX + (
        "Exception occurred during processing of request from ('172.17.0.1', 51234)\n"
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3.13/socketserver.py", line 697, in process_request_thread\n'
        "ValueError: I/O operation on closed file.\n"
    )
    found = explain(log, exit_code=0)
    assert found is not None
    assert found.kind == "missing_module"
