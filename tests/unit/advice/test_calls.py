"""What a container touched of its image, from its system calls."""

from pathlib import Path

import pytest

from lab.advice.recorder.calls import Touched, touched
from lab.advice.recorder.strace import read_trace

REAL = (Path(__file__).parent / "container.strace").read_bytes()
BEFORE = """\
9 100.000000 pivot_root(".", ".") = 0
9 100.000001 chdir("/") = 0
9 100.000002 execve("/bin/server", ["server"], 0x1 /* 1 var */) = 0
"""
NAMES = {
    "/bin": "usr/bin",
    "/usr": "",
    "/usr/bin": "",
    "/usr/bin/server": "",
    "/usr/lib": "",
    "/usr/lib/a.so.1": "",
    "/usr/lib/a.so": "a.so.1",
    "/usr/lib/unused": "",
    "/etc": "",
    "/etc/alternatives": "",
    "/etc/alternatives/a": "/usr/lib/a.so",
    "/etc/config": "",
    "/etc/hosts": "",
    "/srv": "",
    "/srv/loop": "loop",
}
SERVER = {"/bin": False, "/usr": False, "/usr/bin": False, "/usr/bin/server": True}
"""What the first program touches, and whether it is opened."""


def seen(lines: str, **heads: bytes) -> Touched:
    text = "".join(f"{line}\n" for line in lines.strip().splitlines())
    return touched(
        read_trace(f"{BEFORE}{text}9 200.000000 +++ exited with 0 +++\n".encode()),
        names=NAMES,
        mounts=("/opt/ml/model",),
        head=lambda path: heads.get(path.rpartition("/")[2], b"a program without interpreter"),
    )


def opened(lines: str, **heads: bytes) -> dict[str, bool]:
    """What was touched beside the first program, and whether it was opened; without doubts."""
    found = seen(lines, **heads)
    assert found.doubts == []
    return {
        path: one.opened
        for path, one in found.names.items()
        if path not in SERVER or one.opened != SERVER[path]
    }


def test_the_first_program_is_touched_with_the_link_that_leads_to_it() -> None:
    assert {path: one.opened for path, one in seen("").names.items()} == SERVER


def test_every_link_on_the_way_counts_and_the_file_itself_is_opened() -> None:
    lines = (
        '9 101.0 openat(AT_FDCWD</>, "/etc/alternatives/a", O_RDONLY) = 3</usr/lib/a.so.1>'
    ).replace("101.0", "101.000000")
    assert opened(lines) == {
        "/etc": False,
        "/etc/alternatives": False,
        "/etc/alternatives/a": False,
        "/usr/lib": False,
        "/usr/lib/a.so": False,
        "/usr/lib/a.so.1": True,
    }


@pytest.mark.parametrize(
    "call",
    [
        'stat("/etc/config", 0x7f) = 0',
        'access("/etc/config", W_OK) = -1 EACCES (Permission denied)',
        'readlink("/etc/config", 0x7f, 4096) = -1 EINVAL (Invalid argument)',
        'openat(AT_FDCWD</>, "/etc/config", O_RDONLY|O_PATH) = 3</etc/config>',
        'openat(AT_FDCWD</>, "/etc/config", O_RDONLY|O_DIRECTORY) = -1 ENOTDIR (Not a directory)',
        'newfstatat(AT_FDCWD</etc>, "config", {st_mode=S_IFREG|0644, ...}, 0) = 0',
        'newfstatat(3</etc/config>, "", {st_mode=S_IFREG|0644, ...}, AT_EMPTY_PATH) = 0',
        "utimensat(3</etc/config>, NULL, NULL, 0) = 0",
        'statx(5</etc>, "../etc/./config", AT_STATX_SYNC_AS_STAT, STATX_MODE, {}) = 0',
        'openat2(7</etc>, "config", {flags=O_WRONLY, resolve=0}, 24) = -1 EACCES (Permission)',
        'inotify_add_watch(3<anon_inode:inotify>, "/etc/config", IN_MODIFY) = 1',
        'rename("/nothing", "/etc/config") = 0',
        'access("/etc/config", R_OK <unfinished ...>) = ?',
        'stat("etc/config", 0x7f) = 0',
    ],
)
def test_what_is_looked_at_is_not_opened(call: str) -> None:
    assert opened(f"9 101.000000 {call}") == {"/etc": False, "/etc/config": False}


def test_a_listed_folder_and_a_written_file_are_opened() -> None:
    assert opened(
        """
9 101.000000 openat(AT_FDCWD</>, "/etc", O_RDONLY|O_DIRECTORY) = 3</etc>
9 101.000001 openat(3</etc>, "config", O_WRONLY|O_APPEND) = 4</etc/config>
"""
    ) == {"/etc": True, "/etc/config": True}


def test_a_link_that_is_only_read_leads_nowhere() -> None:
    assert opened('9 101.000000 readlink("/usr/lib/a.so", "a.so.1", 99) = 6') == {
        "/usr/lib": False,
        "/usr/lib/a.so": False,
    }


def test_where_a_process_is_follows_its_changes_and_its_parent() -> None:
    assert opened(
        """
9 101.000000 chdir("/usr/lib") = 0
9 101.000001 vfork( <unfinished ...>
20 101.000002 open("a.so.1", O_RDONLY) = 3</usr/lib/a.so.1>
20 101.000003 chdir("../../etc") = 0
20 101.000004 access("config", R_OK) = 0
9 101.000005 <... vfork resumed>) = 2 /* 20 in strace's PID NS */
9 101.000006 access("unused", R_OK) = 0
20 101.000007 +++ exited with 0 +++
"""
    ) == {
        "/etc": False,
        "/etc/config": False,
        "/usr/lib": False,
        "/usr/lib/a.so.1": True,
        "/usr/lib/unused": False,
    }


def test_threads_are_where_their_process_is() -> None:
    clone = "clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FS|CLONE_THREAD) = 2"
    assert opened(
        f"""
9 101.000000 {clone} /* 20 in strace's PID NS */
20 101.000001 chdir("/etc") = 0
9 101.000002 access("config", R_OK) = 0
20 101.000003 +++ exited with 0 +++
"""
    ) == {"/etc": False, "/etc/config": False}


def test_another_root_is_where_absolute_paths_begin() -> None:
    found = opened(
        """
9 101.000000 chroot("/usr") = 0
9 101.000001 access("/lib/unused", R_OK) = 0
"""
    )
    assert found == {"/usr/lib": False, "/usr/lib/unused": False}


def test_missed_is_what_is_nowhere_by_the_place_where_it_would_be() -> None:
    found = seen(
        """
9 101.000000 openat(AT_FDCWD</etc>, "nothing", O_RDONLY) = -1 ENOENT (No such file or directory)
9 101.000001 stat("/bin/../bin/nobody", 0x7f) = -1 ENOENT (No such file or directory)
9 101.000002 stat("/etc/config/x", 0x7f) = -1 ENOTDIR (Not a directory)
9 101.000003 stat("", 0x7f) = -1 ENOENT (No such file or directory)
9 101.000004 stat("/opt/ml/model/x", 0x7f) = -1 ENOENT (No such file or directory)
9 101.000005 stat("/proc/self/x", 0x7f) = -1 ENOENT (No such file or directory)
9 101.000006 access(0x1, R_OK) = -1 EFAULT (Bad address)
9 101.000007 stat("/etc/nothing", 0x7f) = -1 ENOENT (No such file or directory)
"""
    )
    assert found.missed == {
        "/etc/config/x": 101_000_002_000,
        "/etc/nothing": 101_000_000_000,
        "/usr/bin/nobody": 101_000_001_000,
    }
    assert set(found.names) == set(SERVER)
    assert found.doubts == []


def test_mounts_and_what_the_container_made_itself_are_not_the_images() -> None:
    assert (
        opened(
            """
9 101.000000 openat(AT_FDCWD</>, "/etc/new", O_WRONLY|O_CREAT, 0666) = 3</etc/new>
9 101.000001 openat(AT_FDCWD</>, "/opt/ml/model/m", O_RDONLY) = 3</opt/ml/model/m>
9 101.000002 openat(AT_FDCWD</>, "/dev/null", O_RDONLY) = 3</dev/null>
"""
        )
        == {}
    )
    # The engine lays its own over the image's.
    hosts = '9 101.000000 openat(AT_FDCWD</>, "/etc/hosts", O_RDONLY) = 3</etc/hosts>'
    assert opened(hosts) == {"/etc": False}


def test_what_comes_first_is_when_it_was_touched() -> None:
    found = seen(
        """
9 101.000000 access("/etc/config", R_OK) = 0
9 102.000000 openat(AT_FDCWD</>, "/etc/config", O_RDONLY) = 3</etc/config>
"""
    )
    assert found.names["/etc/config"].first_ns == 101_000_000_000
    assert found.names["/etc/config"].opened


def test_the_kernel_opens_interpreters_without_a_call() -> None:
    found = opened(
        '9 101.000000 execve("/etc/config", ["c"], 0x1 /* 1 var */) = 0',
        config=b"#! /usr/lib/a.so -x\nrest",
    )
    assert found == {
        "/etc": False,
        "/etc/config": True,
        "/usr/lib": False,
        "/usr/lib/a.so": False,
        "/usr/lib/a.so.1": True,
    }


def test_of_a_script_that_the_container_made_the_interpreter_is_the_images() -> None:
    found = opened(
        '9 101.0 execve("/tmp/s", ["s"], 0x1 /* 1 var */) = 0'.replace("1.0", "1.000000"),
        s=b"#!/etc/config\n",
    )
    assert found == {"/etc": False, "/etc/config": True}


@pytest.mark.parametrize(
    ("call", "doubt"),
    [
        ('access("/etc/con"..., R_OK) = 0', "A path of access is cut off (1 times)."),
        ("access(0x7ffe, R_OK) = 0", "The path of a call of access could not be read (1 times)."),
        (
            "io_uring_setup(8, {flags=0}) = 3",
            "A process uses io_uring, whose look-ups no trace shows (1 times).",
        ),
    ],
)
def test_what_cannot_be_told_is_a_doubt(call: str, doubt: str) -> None:
    found = seen(f"9 101.000000 {call}")
    assert found.doubts == [doubt]
    assert set(found.names) == set(SERVER)


def test_a_process_of_which_nobody_knows_where_it_is_is_a_doubt() -> None:
    found = seen('20 101.000000 access("config", R_OK) = 0')
    assert found.doubts == ["A path of access is relative to a folder that is not known (1 times)."]


def test_a_program_that_cannot_be_read_is_a_doubt() -> None:
    found = seen("", server=b"")
    assert found.doubts == ["The interpreter of /usr/bin/server is not known: it cannot be read."]


def test_links_in_a_circle_end() -> None:
    lines = '9 101.000000 access("/srv/loop", R_OK) = -1 ELOOP (Too many levels)'
    assert opened(lines) == {"/srv": False, "/srv/loop": False}


def test_a_real_record_names_exactly_what_was_touched() -> None:
    links = {
        "/bin": "usr/bin",
        "/lib": "usr/lib",
        "/etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
        "/etc/os-release": "../usr/lib/os-release",
        "/usr/bin/python3": "python3.13",
        "/usr/share/zoneinfo/UTC": "Etc/UTC",
    }
    files = [
        "/etc/passwd",
        "/etc/group",
        "/etc/ld.so.cache",
        "/etc/issue",
        "/etc/debian_version",
        "/etc/shells",
        "/etc/shadow",
        "/usr/bin/python3.13",
        "/usr/bin/sh",
        "/usr/bin/cat",
        "/usr/bin/ls",
        "/usr/bin/env",
        "/usr/lib/os-release",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/ld.so",
        "/usr/share/zoneinfo/Etc/UTC",
        "/var/lib/dpkg/arch-native",
        "/var/log",
        "/opt",
        "/usr/bin",
        "/etc",
        "/usr/lib",
        "/etc/unread",
        "/usr/bin/unread",
    ]
    found = touched(
        read_trace(REAL),
        names=links | dict.fromkeys(files, ""),
        mounts=("/vol", "/tmp", "/s.py"),
        head=lambda path: b"#!/usr/bin/env sh\n" if path.endswith("mysh") else b"static",
    )
    looked_at = ["/etc/debian_version", "/etc/shadow", "/usr/bin", "/usr/lib", *links]
    unread = {"/usr/lib/ld.so", "/etc/unread", "/usr/bin/unread"}
    assert found.doubts == []
    assert set(found.names) == {*links, *files} - unread
    assert sorted(path for path, one in found.names.items() if not one.opened) == sorted(looked_at)
    assert set(found.missed) == {
        "/etc/ld.so.preload",
        "/etc/passwd/x",
        "/nope/x",
        "/usr/bin/pyvenv.cfg",
        "/usr/lib/no-rel",
        "/usr/pyvenv.cfg",
        "/var/lib/dpkg/none",
        *(f"/usr/{folder}/mysh" for folder in ("local/sbin", "local/bin", "sbin")),
        *(f"/usr/{folder}/python3" for folder in ("local/sbin", "local/bin", "sbin")),
        *(f"/usr/{folder}/sh" for folder in ("local/sbin", "local/bin", "sbin")),
    }
