"""Run a command while all its processes are stopped for a moment, again and again.

    python -m tests.stall [--seed N] [--longest 2] [--every 5] COMMAND...

What passes so is not broken by a machine that stalls. Linux only. The command's exit code is kept.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path


def main() -> int:
    """Run the command to its end."""
    options = _options()
    rng = random.Random(options.seed)
    _say(f"Stalls of up to {options.longest:g} s, --seed {options.seed}")
    stalls, stalled_s = 0, 0.0
    try:
        command = subprocess.Popen(options.command)
    except OSError as error:
        sys.exit(f"{options.command[0]} cannot be run: {error.strerror}.")
    try:
        while True:
            try:
                command.wait(rng.uniform(0, 2 * options.every))
                break
            except subprocess.TimeoutExpired:
                stalls += 1
                stalled_s += _stall(command.pid, rng.uniform(0, options.longest))
    except KeyboardInterrupt:  # the command got it, too
        command.wait()
    code = command.returncode
    _say(f"{stalls} stalls, {stalled_s:.0f} s in all; exit code {code}")
    return code if code >= 0 else 128 - code


def _say(words: str) -> None:
    sys.stderr.write(f"• {words}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--longest", type=float, default=2, help="seconds (default: 2)")
    parser.add_argument("--every", type=float, default=5, help="seconds, on average (default: 5)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("a command is missing")
    return options


def _stall(root: int, seconds: float) -> float:
    """Stop a process and all below it; what is born meanwhile is found in the next round."""
    own = {pid for pid, state in _tree(root).items() if state == "T"}  # a test stopped it
    stopped: list[int] = []
    begun = time.monotonic()
    try:
        while new := [pid for pid in _tree(root) if pid not in own and pid not in stopped]:
            for pid in new:
                _send(pid, signal.SIGSTOP)
            stopped += new
        time.sleep(seconds)
    finally:
        for pid in reversed(stopped):
            _send(pid, signal.SIGCONT)
    return time.monotonic() - begun


def _tree(root: int) -> dict[int, str]:
    """The process and all below it, each with its state as the kernel abbreviates it."""
    children: dict[int, list[int]] = {}
    states: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            states[int(stat.parent.name)] = state
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return {pid: states[pid] for pid in found if states.get(pid, "Z") != "Z"}


def _send(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)


if __name__ == "__main__":
    sys.exit(main())
