"""What the lab wants of a machine, and how to see whether it has it."""

import importlib.util
import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from lab import paths
from lab.engine.api import EngineFacts
from lab.engine.docker.engine import DockerEngine
from lab.engine.doctor.findings import CheckResult, CheckState, DoctorCheck, degraded, missing, ok
from lab.engine.doctor.network import checks as network_checks
from lab.engine.emulation.qemu import Emulation, look, look_here
from lab.engine.install import packages
from lab.engine.install.daemon import cgroup_fault
from lab.engine.install.locate import search
from lab.engine.install.packages import Tool
from lab.engine.install.places import Places
from lab.errors import CommandError
from lab.host import cgroup_layout, memory_bytes, this_machine, usable_cpus
from lab.process import run
from lab.units import format_bytes, format_seconds

_GIB: Final = 1024**3
_DISK_GOOD: Final = 25 * _GIB
_DISK_LEAST: Final = 10 * _GIB
_MEMORY_GOOD: Final = 8 * _GIB
_MEMORY_LEAST: Final = 3 * _GIB
_CPUS_GOOD: Final = 2
_NOISE_PROBE_S: Final = 2.0
_NOISE_GOOD: Final = 1.10
_COMMAND_S: Final = 6.0
_DROP: Final = Path("/proc/sys/vm/drop_caches")
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def all_checks() -> Sequence[DoctorCheck]:
    """Every prerequisite, the weightiest first."""
    return [
        DoctorCheck(name="engine", look=engine),
        DoctorCheck(name="process engine", look=process_engine),
        DoctorCheck(name="docker client", look=_tool(Tool.CLIENT, "--version")),
        DoctorCheck(name="buildx", look=_tool(Tool.BUILDX, "version")),
        DoctorCheck(name="compose", look=_tool(Tool.COMPOSE, "version")),
        DoctorCheck(name="mmdebstrap", look=_tool(Tool.BOOTSTRAP, "--version")),
        DoctorCheck(name="other platform", look=other_platform),
        DoctorCheck(name="cgroups", look=cgroups),
        DoctorCheck(name="disk", look=disk),
        DoctorCheck(name="memory", look=memory),
        DoctorCheck(name="page cache", look=page_cache),
        DoctorCheck(name="browser", look=browser),
        *network_checks(),
        DoctorCheck(name="CPUs", look=cpus, alone=True),
    ]


def runnable(found: Mapping[str, CheckResult]) -> str | None:
    """What the lab would run on: ``docker``, ``process``, or None when nothing can run."""
    if found["engine"].state is not CheckState.MISSING:
        return "docker"
    return "process" if found["process engine"].state is not CheckState.MISSING else None


def engine() -> CheckResult:
    """Which engine answers and where its address comes from."""
    seen = search()
    if seen.found is not None:
        docker = DockerEngine(seen.found.address)
        facts = docker.facts()
        docker.close()
        return _judged(facts, seen.found.origin)
    obstacle = packages.obstacle()
    if packages.has(Tool.ENGINE):
        return degraded(f"installed, not running ({seen.why})", "Run `lab engine up`.")
    if obstacle is None:
        return degraded(
            f"none yet ({seen.why})", "Run `lab engine up`: it installs and starts one."
        )
    return missing(
        f"none answers ({seen.why}), and {obstacle}", packages.advice(packages.ENGINE_TOOLS)
    )


def _judged(facts: EngineFacts, origin: str) -> CheckResult:
    detail = f"{facts.name}, {facts.storage_driver}, {facts.address} ({origin})"
    if facts.storage_driver == "vfs":
        return degraded(
            f"{detail}: copies every layer whole", "Keep its data on ext4 or xfs, for overlay2."
        )
    if facts.notes:
        return degraded(f"{detail}: {'; '.join(facts.notes)}")
    return ok(detail)


def process_engine() -> CheckResult:
    """Whether virtual environments can be made, for a lab without containers."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        return missing(
            "this Python cannot make virtual environments", "Install python3-venv (Debian, Ubuntu)."
        )
    return ok(f"Python {sys.version.split()[0]} makes virtual environments")


def _tool(tool: Tool, question: str) -> Callable[[], CheckResult]:
    def look() -> CheckResult:
        if not packages.has(tool):
            return missing("not installed", packages.advice([tool]))
        try:
            output = run([*tool.value.split(), question], timeout_s=_COMMAND_S).stdout
        except CommandError as error:
            return degraded(error.what, packages.advice([tool]))
        found = re.search(r"v?(\d+\.\d+[\w.+~-]*)", output)
        return ok(found[1] if found else output.strip())

    return look


def other_platform() -> CheckResult:
    """Whether images for the architecture that is not the engine's own can be built and run."""
    seen = search()
    if seen.found is None:
        return judged_emulation(look_here(this_machine().other))
    docker = DockerEngine(seen.found.address)
    try:
        return judged_emulation(look(docker.facts().platform.other, docker))
    finally:
        docker.close()


def judged_emulation(seen: Emulation) -> CheckResult:
    """The finding for what was seen: without it only images of one's own platform run."""
    detail = f"{seen.platform}: {seen.detail}"
    if not seen.runs:
        return (degraded if seen.mendable else missing)(detail, seen.remedy)
    return degraded(detail, seen.remedy) if seen.remedy else ok(f"{detail}, emulated")


def cgroups() -> CheckResult:
    """Whether containers can be given memory and CPU limits."""
    fault = cgroup_fault()
    if fault is not None:
        return missing(fault, "Mount the cgroup file system writable, or use LAB_ENGINE=process.")
    return ok(f"{cgroup_layout()}, memory controller, writable")


def disk() -> CheckResult:
    """Room for images and for the cold hosts that pull them anew."""
    places = Places.here()
    folders = {"images": _existing(places.data_root), "runs and models": _existing(paths.home())}
    free = {name: shutil.disk_usage(folder).free for name, folder in folders.items()}
    detail = ", ".join(f"{format_bytes(count)} free for {name}" for name, count in free.items())
    least = min(free.values())
    remedy = f"Free some space, or set LAB_ENGINE_ROOT to a disk with {format_bytes(_DISK_GOOD)}."
    if least < _DISK_LEAST:
        return missing(detail, remedy)
    return ok(detail) if least >= _DISK_GOOD else degraded(detail, remedy)


def memory() -> CheckResult:
    """Memory for the largest tier and for training."""
    total = memory_bytes().get("MemTotal")
    if total is None:
        return degraded("this system does not tell")
    detail = format_bytes(total)
    if total < _MEMORY_LEAST:
        return missing(detail, "The lab needs 4 GB.")
    if total < _MEMORY_GOOD:
        return degraded(detail, "Tiers above the machine's memory will not be limited by it.")
    return ok(detail)


def page_cache() -> CheckResult:
    """Whether ``diskcold`` trials can be run."""
    if os.access(_DROP, os.W_OK):
        return ok("may be dropped")
    return degraded("may not be dropped: diskcold trials are skipped", "Run the lab as root.")


def browser() -> CheckResult:
    """A browser for the tests of the report."""
    for name in _BROWSERS:
        found = shutil.which(name)
        if found:
            return ok(found)
    own = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "~/.cache/ms-playwright")).expanduser()
    for folder in sorted(own.glob("chromium*")):
        return ok(str(folder))
    return degraded(
        "no Chromium: browser tests cannot run", "Install chromium, or run `playwright install`."
    )


def cpus() -> CheckResult:
    """How many processors, and how steadily they run: a fixed loop is timed for two seconds."""
    times = time_loop(_NOISE_PROBE_S)
    middle = statistics.median(times)
    spread = sorted(times)[int(len(times) * 0.9)] / middle
    count = usable_cpus()
    detail = f"{count}, a {format_seconds(middle)} loop varies by {spread:.2f}x (p90/p50)"
    if count < _CPUS_GOOD:
        return degraded(detail, "Use 2 or more: client and container compete for one.")
    if spread > _NOISE_GOOD:
        return degraded(
            f"{detail}: noisy", "Compare only within a run; stop what else runs on this machine."
        )
    return ok(detail)


def time_loop(duration_s: float) -> Sequence[float]:
    """Seconds that the same small work took, again and again."""
    times = []
    end = time.perf_counter() + duration_s
    while (begun := time.perf_counter()) < end:
        sum(range(400_000))
        times.append(time.perf_counter() - begun)
    return times


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
