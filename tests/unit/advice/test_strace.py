"""strace's record: whole calls, of the container's processes alone, and doubts where it is torn."""

from pathlib import Path

import pytest

from lab.advice.recorder.strace import Call, Trace, decoded, read_trace

REAL = (Path(__file__).parent / "container.strace").read_bytes()
"""Of ``docker run`` with a Python program that looks up paths in every way; shortened."""

BEFORE = """\
10 100.000001 execve("/usr/sbin/runc", ["runc", "create"], 0x1 /* 7 vars */) = 0
11 100.000002 openat(AT_FDCWD</host>, "/host/config", O_RDONLY) = 3</host/config>
12 100.000003 pivot_root(".", ".") = 0
12 100.000004 openat(AT_FDCWD</>, "/etc/passwd", O_RDONLY) = 6</etc/passwd>
13 100.000005 clone(child_stack=NULL, flags=CLONE_VM|CLONE_THREAD) = 14
10 100.000006 +++ exited with 0 +++
12 100.000007 execve("/bin/server", ["server"], 0x1 /* 1 var */) = 0
13 100.000008 openat(AT_FDCWD</>, "/of/runc", O_RDONLY) = 3</of/runc>
13 100.000009 +++ exited with 0 +++
"""
END = "12 200.000000 +++ exited with 0 +++\n"


def trace(lines: str, end: str = END) -> Trace:
    return read_trace((BEFORE + lines + end).encode())


def calls(lines: str) -> list[Call]:
    """Those after the first program."""
    found = trace(lines)
    assert found.doubts == []
    return list(found.calls)[2:]


def test_of_runc_itself_only_what_it_looks_up_in_the_image_counts() -> None:
    found = trace("")
    assert [(one.pid, one.name, one.arguments) for one in found.calls] == [
        (12, "openat", 'AT_FDCWD</>, "/etc/passwd", O_RDONLY'),
        (12, "execve", '"/bin/server", ["server"], 0x1 /* 1 var */'),
    ]
    assert (found.found, found.doubts) == (True, [])


def test_a_number_that_runc_had_is_the_containers_once_it_is_free() -> None:
    lines = '10 101.000000 access("/a", R_OK) = 0\n13 101.000000 access("/b", R_OK) = 0\n'
    assert [one.arguments for one in calls(lines)] == ['"/a", R_OK', '"/b", R_OK']


def test_both_halves_of_a_call_are_one_and_it_stands_where_it_began() -> None:
    found = calls(
        '12 101.500000 openat(AT_FDCWD</>, "/a", O_RDONLY <unfinished ...>\n'
        '20 101.600000 stat("/b", 0x7f) = -1 ENOENT (No such file or directory)\n'
        "12 101.700000 <... openat resumed>) = 3</usr/a>\n"
    )
    assert found == [
        Call(
            pid=12,
            at_ns=101_500_000_000,
            name="openat",
            arguments='AT_FDCWD</>, "/a", O_RDONLY',
            value=3,
            path="/usr/a",
        ),
        Call(
            pid=20,
            at_ns=101_600_000_000,
            name="stat",
            arguments='"/b", 0x7f',
            value=-1,
            error="ENOENT",
        ),
    ]


def test_the_new_process_of_a_clone_is_known_by_the_machines_number() -> None:
    (one,) = calls(
        "12 101.0 ".replace(".0 ", ".000000 ") + "vfork() = 8 /* 20 in strace's PID NS */\n"
    )
    assert (one.value, one.child) == (8, 20)


def test_an_execve_of_a_thread_goes_on_under_the_number_of_its_process() -> None:
    (one,) = calls(
        '20 101.000000 execve("/bin/a", ["a"], 0x1 /* 1 var */ <pid changed to 12 ...>\n'
        "12 101.000001 +++ superseded by execve in pid 20 +++\n"
        "12 101.000002 <... execve resumed>) = 0\n"
    )
    assert (one.pid, one.name, one.good) == (12, "execve", True)


def test_a_call_that_never_returned_has_no_result() -> None:
    found = calls(
        '20 101.000000 access("/a", R_OK <unfinished ...>\n'
        "20 101.000001 +++ killed by SIGKILL +++\n"
        '21 101.000002 access("/b", R_OK <unfinished ...>) = ?\n'
        "21 101.000003 +++ killed by SIGKILL (core dumped) +++\n"
    )
    assert [(one.arguments, one.value, one.good) for one in found] == [
        ('"/a", R_OK', None, False),
        ('"/b", R_OK', None, False),
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("/plain", "/plain"),
        (r"/a\"b\\c\nd\te", '/a"b\\c\nd\te'),
        (r"/\303\244", "/ä"),
        (r"/\x3c\74x\76", "/<<x>"),
        (r"/\377\3768", "/\udcff\udcfe8"),
        (r"/\18", "/\x018"),
    ],
)
def test_names_are_taken_out_of_their_escapes(written: str, name: str) -> None:
    assert decoded(written) == name


@pytest.mark.parametrize(
    ("lines", "end", "doubt"),
    [
        ("", "", "The trace ends while the container was running."),
        ("", END + "12 201.0000", "The trace ends in the middle of a line."),
        ("12 101.000000 openat(AT_FD\n", END, "1 lines of the trace could not be read."),
        ("nonsense\n", END, "1 lines of the trace could not be read."),
        (
            "12 101.000000 <... openat resumed>) = 3</a>\n",
            END,
            "Of 1 calls the trace has only one half.",
        ),
        (
            '12 101.000000 access("/a" <unfinished ...>\n12 101.000001 access("/b", R_OK) = 0\n',
            END,
            "Of 1 calls the trace has only one half.",
        ),
    ],
)
def test_what_is_torn_or_lost_is_a_doubt(lines: str, end: str, doubt: str) -> None:
    assert list(trace(lines, end).doubts) == [doubt]


def test_a_trace_without_a_container_says_so() -> None:
    assert read_trace(b"") == Trace(
        calls=(),
        doubts=("The trace does not show how the container's file system became its root.",),
        found=False,
    )
    start = "".join(BEFORE.splitlines(keepends=True)[:5])
    assert read_trace(start.encode()).doubts == (
        "The trace does not show the container's first program.",
    )


def test_remarks_of_strace_are_no_calls() -> None:
    lines = (
        "20 101.000000 [ Process PID=20 runs in 32 bit mode. ]\n"
        "20 101.000001 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
    )
    assert calls(lines) == []


def test_a_real_record_is_read_without_a_doubt() -> None:
    found = read_trace(REAL)
    assert found.doubts == []
    assert {one.pid for one in found.calls} == {772, 793, 794, 795, 796, 800, 801}
    assert [one.child for one in found.calls if one.child] == [793, 794, 795, 796, 800, 801]
