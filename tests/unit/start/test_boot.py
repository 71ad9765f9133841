"""What is seen of a start from outside; the kernel's files lie in a folder of the test's own."""

import time
from pathlib import Path

import pytest

from lab.start.boot import BootWatch, PingAnswer
from lab.start.probe import Probes, Refusal

ID = "c" * 64
S = 1_000_000_000


class Kernel:
    """The cgroup of one container, and its processes."""

    def __init__(self, root: Path, *, v2: bool) -> None:
        self.proc, self.root, self.v2 = root / "proc", root / "cgroup", v2
        line = f"0::/docker/{ID}\n" if v2 else f"3:cpu,cpuacct:/docker/{ID}\n"
        (self.proc / "7").mkdir(parents=True)
        (self.proc / "7" / "cgroup").write_text(line)
        for controller in ("",) if v2 else ("cpu", "cpuacct"):
            (self.root / controller / "docker" / ID).mkdir(parents=True)
        self.now(0.0, throttled_s=0.0)

    def group(self, controller: str) -> Path:
        return self.root / ("" if self.v2 else controller) / "docker" / ID

    def now(self, cpu_s: float, *, throttled_s: float, **processes: tuple[str, int]) -> None:
        if self.v2:
            stat = f"usage_usec {cpu_s * 1e6:.0f}\nthrottled_usec {throttled_s * 1e6:.0f}\n"
        else:
            stat = f"nr_throttled 1\nthrottled_time {throttled_s * 1e9:.0f}\n"
            (self.group("cpuacct") / "cpuacct.usage").write_text(f"{cpu_s * 1e9:.0f}\n")
        (self.group("cpu") / "cpu.stat").write_text(stat)
        pids = [pid.removeprefix("p") for pid in processes]
        (self.group("cpuacct") / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        for pid, (name, born_ns) in zip(pids, processes.values(), strict=True):
            (self.proc / pid).mkdir(exist_ok=True)
            since_boot = born_ns - (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME))
            (self.proc / pid / "stat").write_text(
                f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 {since_boot // 10**7} 0\n"
            )

    def watch(self) -> BootWatch:
        return BootWatch(container_id=ID, root=self.root, proc=self.proc)


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def kernel(tmp_path: Path, request: pytest.FixtureRequest) -> Kernel:
    return Kernel(tmp_path, v2=request.param)


def test_a_front_server_is_seen_with_what_stands_behind_it(kernel: Kernel) -> None:
    begin = time.time_ns() - 70 * S
    watch = kernel.watch()
    kernel.now(0.1, throttled_s=0.0, p7=("runc:[2:INIT]", begin))
    watch.look(7)
    nginx = {f"p{pid}": ("nginx", begin + S // 10) for pid in (7, 8, 9)}
    kernel.now(2.0, throttled_s=0.5, **nginx, p20=("bash", begin + 2 * S))
    watch.look(7)
    kernel.now(41.0, throttled_s=3.0, **nginx, p20=("gunicorn", begin + 2 * S))
    watch.list_processes()
    watch.count()
    kernel.now(42.0, throttled_s=3.0, **nginx, p30=("late", begin + 65 * S))
    watch.list_processes()
    seen = Probes(address=("127.0.0.1", 8080), accepting_ns=begin + 3 * S // 10)
    seen.refusals = [Refusal(status=502, first_ns=begin + S // 3, last_ns=begin + 59 * S)]
    boot = watch.boot(seen, started_ns=begin, ready_ns=begin + 60 * S)
    assert boot.port_open_s == 0.3
    assert boot.answers == (PingAnswer(status=502, from_s=0.333, until_s=59.0),)
    assert (boot.cpu_seconds, boot.throttled_seconds) == (41.0, 3.0)
    assert [(one.name, one.count) for one in boot.processes] == [("nginx", 3), ("gunicorn", 1)]
    assert boot.processes[0].first_s == pytest.approx(0.1, abs=0.03)
    assert boot.processes[1].first_s == pytest.approx(2.0, abs=0.03)


def test_of_a_container_that_is_not_seen_from_here_only_the_probes_tell(tmp_path: Path) -> None:
    watch = BootWatch(container_id=ID, root=tmp_path, proc=tmp_path)
    for _ in range(5):
        watch.look(7)
    seen = Probes(address=("127.0.0.1", 8080), accepting_ns=3 * S)
    boot = watch.boot(seen, started_ns=S, ready_ns=4 * S)
    assert (boot.port_open_s, boot.cpu_seconds, boot.processes) == (2.0, None, ())
