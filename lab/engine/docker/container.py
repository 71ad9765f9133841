"""A container of a Docker Engine."""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import requests
from docker.errors import APIError, NotFound, create_api_error_from_http_exception

from lab.engine.api import (
    HEAD_BYTES,
    ContainerLoad,
    ContainerState,
    EngineEvent,
    Usage,
    files_below,
)
from lab.engine.docker.cgroup import oom_kills_of, usage_of
from lab.engine.docker.client import parse_time
from lab.engine.docker.errors import being_removed, translated
from lab.engine.docker.logs import DockerLogStream
from lab.engine.docker.reach import connected, in_some_container
from lab.engine.docker.tar import tar_of
from lab.errors import EngineError

_NS: Final = 1_000_000_000
_KILLED: Final = 137


@dataclass(frozen=True, kw_only=True, eq=False)
class DockerContainer:
    """One container, by its id."""

    client: Any
    id: str
    name: str
    labels: Mapping[str, str]
    port: int | None
    bridged: bool
    """Its address may be reachable."""
    reach: str
    """The host where its published ports are."""

    def start(self) -> None:
        """Start it: one call to the engine and nothing else, for it is measured."""
        with translated():
            self.client.start(self.id)

    def stop(self, *, grace_s: float = 30.0) -> None:
        """As it was made: SIGTERM, then SIGKILL after ``grace_s`` (whole seconds, rounded up)."""
        with translated():
            self.client.stop(self.id, timeout=int(-(-grace_s // 1)))

    def kill(self, signal: str = "KILL") -> None:
        with translated():
            self.client.kill(self.id, signal=signal)

    def remove(self) -> None:
        with translated():
            try:
                self.client.remove_container(self.id, force=True, v=True)
            except NotFound:
                return
            except APIError as error:
                if not being_removed(error):
                    raise

    def resize(self, *, memory_bytes: int | None, cpus: float | None) -> None:
        """As ``docker update``, by its path: the SDK's own method knows no ``NanoCpus``, and the
        engine takes no quota for a container that was made with these.
        """
        with translated():
            info = self.client.info() if memory_bytes is None or cpus is None else {}
            memory = memory_bytes or info["MemTotal"]
            url = f"{self.client.base_url}/v{self.client.api_version}/containers/{self.id}/update"
            cores = info["NCPU"] if cpus is None else cpus
            # As when it is made: swap equal to the memory is none.
            limits = {"Memory": memory, "MemorySwap": memory, "NanoCpus": int(cores * 1e9)}
            answer = self.client.post(url, json=limits, timeout=self.client.timeout)
            try:
                answer.raise_for_status()
            except requests.HTTPError as error:
                create_api_error_from_http_exception(error)  # and raise it

    def address(self, port: int | None = None) -> tuple[str, int]:
        """Host and port at which ``port`` is reached from here.

        The container itself where its address can be routed to: the engine's port forwarder
        accepts connections before the container listens, which would be measured as readiness.
        """
        wanted = self.port if port is None else port
        if wanted is None:
            raise EngineError(f"{self.name} is not known to listen on a port.")
        seen = self._inspect()
        mode = str(seen["HostConfig"]["NetworkMode"])
        if mode == "host":
            return self.reach, wanted
        if mode.startswith("container:"):
            with translated():
                seen = self.client.inspect_container(mode.partition(":")[2])
        settings = seen["NetworkSettings"]
        if self.bridged:
            for network in (settings.get("Networks") or {}).values():
                if connected(network.get("IPAddress") or ""):
                    return str(network["IPAddress"]), wanted
        for published in (settings.get("Ports") or {}).get(f"{wanted}/tcp") or ():
            return self.reach, int(published["HostPort"])
        state = "" if seen["State"]["Running"] else " and does not run"
        raise EngineError(f"{self.name} does not publish port {wanted}{state}.")

    def state(self) -> ContainerState:
        state = self._inspect()["State"]
        running = bool(state["Running"])
        started = parse_time(state["StartedAt"])
        exited = None if running or started is None else int(state["ExitCode"])
        oom = bool(state["OOMKilled"])
        if exited == _KILLED and not oom and started is not None:
            # The flag is set by a message that may come after that of the exit.
            oom = any(event.action == "oom" for event in self.events(started))
        return ContainerState(
            running=running,
            pid=int(state["Pid"]) or None,
            started_at_ns=started,
            exit_code=exited,
            oom_killed=oom,
        )

    def logs(self, *, tail: int = 50, since_ns: int = 0) -> str:
        since = since_ns / _NS if since_ns else None
        with translated():
            text: bytes = self.client.logs(
                self.id, stdout=True, stderr=True, tail=tail, since=since
            )
        return text.decode(errors="replace")

    def follow_logs(self, *, since_ns: int = 0) -> DockerLogStream:
        """Both its streams from about ``since_ns`` on, until it ends."""
        with translated():
            stream = self.client.logs(
                self.id,
                stdout=True,
                stderr=True,
                stream=True,
                follow=True,
                timestamps=True,
                # A little earlier: it goes over the wire with fewer digits.
                since=(since_ns / _NS - 0.001) if since_ns else None,
            )
        return DockerLogStream(stream)

    def processes(self) -> int:
        """How many it has, threads not counted."""
        with translated():
            return len(self.client.top(self.id)["Processes"] or ())

    def load(self) -> ContainerLoad | None:
        """What it uses now: one sample, where the engine by itself would take a second one."""
        with translated():
            stats: dict[str, Any] = self.client.stats(self.id, stream=False, one_shot=True)
        found = load_from_stats(stats)
        kills = None if found is None else oom_kills_of(self.id)
        return found if found is None or not kills else replace(found, oom_kills=kills)

    def usage(self) -> Usage:
        pid = self._inspect()["State"]["Pid"]
        if not pid:
            return Usage()
        if Path("/proc/self/cgroup").exists():
            counted = usage_of(self.id, pid)
            if counted is not None:
                return counted
        with translated():
            stats: dict[str, Any] = self.client.stats(self.id, stream=False)
        return usage_from_stats(stats)

    def events(self, since_ns: int) -> Sequence[EngineEvent]:
        with translated():
            stream = self.client.events(
                since=_seconds(since_ns),
                until=_seconds(time.time_ns()),
                filters={"type": "container", "container": self.id},
                decode=True,
            )
            found = [
                EngineEvent(action=str(event["Action"]), at_ns=int(event["timeNano"]))
                for event in stream
            ]
        return sorted(found, key=lambda event: event.at_ns)

    def execute(self, command: Sequence[str]) -> tuple[int, str]:
        with translated():
            run = self.client.exec_create(self.id, list(command))["Id"]
            output: bytes = self.client.exec_start(run)
            code = self.client.exec_inspect(run)["ExitCode"]
        return int(code), output.decode(errors="replace")

    def mounted(self, folder: str) -> Sequence[str] | None:
        for mount in self._inspect().get("Mounts") or ():
            if mount.get("Destination") == folder:
                return files_below(Path(mount.get("Source") or "/nowhere"))
        try:
            with translated():
                stream, _ = self.client.get_archive(self.id, folder)
                stream.close()
        except EngineError:
            return ()
        return None  # it is in the image, and to list it would mean to read it all

    def head(self, path: str) -> bytes:
        with translated():
            stream, _ = self.client.get_archive(self.id, path)
            with closing(stream), tar_of(stream) as packed:
                member = packed.next()
                file = None if member is None else packed.extractfile(member)
                return b"" if file is None else file.read(HEAD_BYTES)

    def disk_free(self) -> int | None:
        if not self.bridged:
            return None  # the engine may be another machine's
        with translated():
            root = Path(self.client.info().get("DockerRootDir") or "/nowhere")
        # A container of the engine does not see that folder, and its own root lies on that disk.
        for place in (root, Path("/")) if in_some_container() else (root,):
            with suppress(OSError):
                return shutil.disk_usage(place).free
        return None

    def _inspect(self) -> dict[str, Any]:
        with translated():
            seen: dict[str, Any] = self.client.inspect_container(self.id)
        return seen


def usage_from_stats(stats: Mapping[str, Any]) -> Usage:
    """Usage from Docker's statistics, for an engine whose cgroups cannot be seen from here.

    Under cgroup v2 they hold no peak: the present use then stands for it.
    """
    memory = stats.get("memory_stats") or {}
    cpu = stats.get("cpu_stats") or {}
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return Usage(
        peak_memory_bytes=memory.get("max_usage", memory.get("usage")),
        cpu_seconds=_in_seconds((cpu.get("cpu_usage") or {}).get("total_usage")),
        throttled_seconds=_in_seconds((cpu.get("throttling_data") or {}).get("throttled_time")),
        read_bytes=None
        if blocks is None
        else sum(entry["value"] for entry in blocks if entry["op"].lower() == "read"),
    )


def load_from_stats(stats: Mapping[str, Any]) -> ContainerLoad | None:
    """Present use from Docker's statistics of either cgroup layout; None if it does not run.

    As ``docker stats`` has it: without the file pages that have not been used lately.
    """
    memory = stats.get("memory_stats") or {}
    cpu = (stats.get("cpu_stats") or {}).get("cpu_usage") or {}
    if "usage" not in memory or "total_usage" not in cpu:
        return None
    detail = memory.get("stats") or {}
    idle = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return ContainerLoad(
        memory_bytes=max(0, memory["usage"] - idle),
        memory_limit_bytes=memory.get("limit", 0),
        cpu_seconds=cpu["total_usage"] / _NS,
        threads=(stats.get("pids_stats") or {}).get("current"),
    )


def _in_seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / _NS


def _seconds(at_ns: int) -> str:
    return f"{at_ns // _NS}.{at_ns % _NS:09d}"
