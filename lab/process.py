"""The only module that starts processes."""

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CommandError

_TAIL_LINES = 25

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished program left behind."""

    code: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    input_text: str | None = None,
    timeout_s: float | None = None,
) -> Result:
    """Run a program to its end and keep its output.

    ``env`` is laid over the present environment. Raises ``CommandError`` when the program cannot
    be started, runs out of time, or (with ``check``) ends with another code than 0.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env=_over(env),
            cwd=cwd,
            input=input_text,
            stdin=subprocess.DEVNULL if input_text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{shlex.join(words)} did not end within {timeout_s:g} s.") from error
    if check and done.returncode != 0:
        raise CommandError(_failure(words, done.returncode, done.stderr or done.stdout))
    return Result(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def stream(
    command: Sequence[str | Path],
    *,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a program and hand over each line of its output (both streams) as it comes.

    Raises ``CommandError`` with the last lines when the program fails. When the caller is
    interrupted, the program is terminated and waited for.
    """
    words = [str(word) for word in command]
    tail: list[str] = []
    try:
        child = subprocess.Popen(
            words,
            env=_over(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed.") from error
    try:
        with child:
            for line in child.stdout or ():
                text = line.rstrip("\n")
                tail = [*tail[-_TAIL_LINES:], text]
                on_line(text)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if child.returncode != 0:
        raise CommandError(_failure(words, child.returncode, "\n".join(tail)))


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    clean_env: bool = False,
) -> Process:
    """Start a program in a session of its own, its output appended to ``log``, and return at once.

    With ``clean_env`` it sees only ``env``. The caller owns it and must wait for it.
    """
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as out:
            return subprocess.Popen(
                words,
                env=dict(env or {}) if clean_env else _over(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed.") from error


def detach(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
) -> int:
    """Start a program that outlives this one, in a session of its own; its process id.

    It is started by a shell that ends at once, so that it is nobody's child and leaves no zombie.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = run(["sh", "-c", _DETACH, "sh", log, *command], env=env)
    return int(started.stdout)


_DETACH = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'


def log_tail(log: Path, *, lines: int = 8) -> str:
    """The last lines of what a program wrote to its log, or why they cannot be read."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return str(error)
    return "\n".join(text.splitlines()[-lines:])


def _over(env: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if env is None else {**os.environ, **env}


def _failure(words: Sequence[str], code: int, output: str) -> str:
    tail = "\n".join(output.strip().splitlines()[-_TAIL_LINES:])
    return f"{shlex.join(words)} ended with code {code}." + (f"\n{tail}" if tail else "")
