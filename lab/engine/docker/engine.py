"""A Docker Engine, through its SDK's low-level client."""

import platform
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from docker.errors import APIError, NotFound
from docker.utils import parse_repository_tag

from lab.engine.api import (
    SHM_BYTES,
    STOP_SIGNAL,
    ContainerSpec,
    EngineFacts,
    ImageFacts,
    LayerEvent,
    Mount,
)
from lab.engine.docker.client import open_client, parse_time
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.errors import transfer_failed, translated
from lab.engine.interrupt import uninterrupted
from lab.errors import EngineError
from lab.spec import LABEL, LABEL_NAME, LABEL_OWNER, MODEL_DIR, EngineKind, Platform

_TMP: Final = "/tmp"  # noqa: S108  # inside the container
_TMPFS: Final = "rw,exec,nosuid,nodev,size=512m,mode=1777"
_LOOPBACK: Final = "127.0.0.1"
_PROBES: Final = 5
_TIMEOUT_S: Final = 120.0
_NS: Final = 1_000_000_000
_ARCHITECTURES: Final = {
    "x86_64": Platform.AMD64,
    "amd64": Platform.AMD64,
    "aarch64": Platform.ARM64,
    "arm64": Platform.ARM64,
}


class DockerEngine:
    """An engine that answers at ``address``; raises ``EngineError`` when none does."""

    kind: Final = EngineKind.DOCKER

    def __init__(self, address: str, *, reach: str | None = None) -> None:
        """Connect.

        ``reach`` is the host at which the engine's published ports are reached from here, for an
        engine that lives inside a container: ports are then published on all its addresses.
        Without it, an engine on this machine is assumed for a socket, else the address's host.
        """
        self.address = address
        self._reach = reach or _host_of(address)
        self.client = open_client(address, timeout_s=_TIMEOUT_S)
        try:
            with translated():
                self._info: dict[str, Any] = self.client.info()
        except EngineError:
            self.client.close()
            raise
        self.bridged = reach is None and _is_here(address, self._info)
        """Whether its containers, and folders shared with them, may be reached from here."""

    @property
    def local(self) -> bool:
        """Whether it is surely this machine's own, and no other's whose socket is reached here."""
        return self.bridged and self._info.get("Name") == platform.node()

    def facts(self) -> EngineFacts:
        with translated():
            version: dict[str, Any] = self.client.version()
        offset_s, error_s = self.clock_offset()
        return EngineFacts(
            kind=EngineKind.DOCKER,
            name=f"Docker Engine {version['Version']}",
            address=self.address,
            versions={
                part["Name"].lower().removesuffix(" engine"): part["Version"]
                for part in version.get("Components") or ()
            }
            | {"api": version["ApiVersion"], "kernel": self._info["KernelVersion"]},
            storage_driver=self._info["Driver"],
            cgroup_version=self._info.get("CgroupVersion"),
            cpus=self._info["NCPU"],
            memory_bytes=self._info["MemTotal"],
            platform=_platform(self._info["Architecture"]),
            clock_offset_s=offset_s,
            clock_error_s=error_s,
            notes=tuple(self._info.get("Warnings") or ()),
        )

    def clock_offset(self) -> tuple[float, float]:
        """The engine's clock minus ours, and the error of that, in seconds.

        The quickest of a few questions counts: its error is half the time it took.
        """
        tries = []
        for _ in range(_PROBES):
            asked = time.time_ns()
            with translated():
                theirs = parse_time(self.client.info()["SystemTime"])
            answered = time.time_ns()
            if theirs is not None:
                tries.append((answered - asked, theirs - (asked + answered) // 2))
        if not tries:
            raise EngineError(f"The engine at {self.address} does not tell its time.")
        took, offset = min(tries)
        error = took / 2
        return (0.0 if abs(offset) <= error else offset / _NS), error / _NS

    def create(self, spec: ContainerSpec) -> DockerContainer:
        """Make a container: one call to the engine and nothing else, for it is measured."""
        name = spec.name or f"inference-lab-{secrets.token_hex(4)}"
        labels = {**spec.labels, LABEL: "true", LABEL_NAME: name}
        config = self._config(spec, labels)
        platform = None if spec.platform is None else spec.platform.value
        # Uninterrupted, or one could come into being after all that carry its labels were removed.
        with translated(), uninterrupted():
            made = self.client.create_container_from_config(config, name, platform)
        return self._container(made["Id"], name=name, labels=labels, port=spec.port)

    def containers(self, labels: Mapping[str, str]) -> Sequence[DockerContainer]:
        wanted = [f"{key}={value}" for key, value in {**labels, LABEL: "true"}.items()]
        with translated():
            found = self.client.containers(all=True, filters={"label": wanted})
        containers = [
            self._container(
                entry["Id"],
                name=entry["Names"][0].lstrip("/") if entry.get("Names") else entry["Id"][:12],
                labels=entry.get("Labels") or {},
                port=None,
            )
            for entry in found
        ]
        return [one for one in containers if made_by_the_lab(one.name, one.labels)]

    def image(self, ref: str) -> ImageFacts:
        with translated():
            seen = self.client.inspect_image(ref)
            layers = self.client.history(ref)
        digests = seen.get("RepoDigests") or ()
        return ImageFacts(
            ref=ref,
            image_id=seen["Id"],
            digest=digests[0].partition("@")[2] if digests else None,
            platform=_platform(seen["Architecture"]),
            unpacked_bytes=sum(layer["Size"] for layer in layers) or int(seen["Size"]),
            labels=(seen.get("Config") or {}).get("Labels") or {},
        )

    def media_type(self, ref: str) -> str:
        with translated():
            described = self.client.inspect_distribution(ref)["Descriptor"]
        return str(described["mediaType"])

    def pull(self, ref: str, *, platform: Platform | None = None) -> Sequence[LayerEvent]:
        repository, tag = parse_repository_tag(ref)
        wanted = None if platform is None else platform.value
        events = []
        failure = None
        with translated():
            try:
                # To the end even after an error, so that the connection is let go of.
                for line in self.client.pull(
                    repository, tag=tag or "latest", stream=True, decode=True, platform=wanted
                ):
                    at_ns = time.time_ns()
                    if "error" in line:
                        failure = _pull_failed(ref, line["error"])
                    elif "id" in line and "status" in line:
                        events.append(
                            LayerEvent(layer=line["id"], status=line["status"], at_ns=at_ns)
                        )
            except APIError as error:
                raise _pull_failed(ref, str(error.explanation or error)) from error
        if failure is not None:
            raise failure
        return events

    def ensure_network(self, name: str, *, internal: bool = False) -> None:
        """Make a bridge network of that name, labelled as the lab's, unless there is one.

        From an ``internal`` one no other network is reached; this machine still reaches it.
        """
        with translated():
            try:
                self.client.inspect_network(name)
            except NotFound:
                self.client.create_network(name, labels={LABEL: "true"}, internal=internal)

    def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a volume of that name, labelled as the lab's and so, unless there is one."""
        with translated():
            try:
                self.client.inspect_volume(name)
            except NotFound:
                self.client.create_volume(name, labels={LABEL: "true", **labels})

    def close(self) -> None:
        self.client.close()

    def _container(
        self, container_id: str, *, name: str, labels: Mapping[str, str], port: int | None
    ) -> DockerContainer:
        return DockerContainer(
            client=self.client,
            id=container_id,
            name=name,
            labels=labels,
            port=port,
            bridged=self.bridged,
            reach=self._reach,
        )

    def _config(self, spec: ContainerSpec, labels: Mapping[str, str]) -> dict[str, Any]:
        host: dict[str, Any] = {
            "ReadonlyRootfs": spec.read_only_root,
            "Privileged": spec.privileged,
            "CapAdd": list(spec.cap_add),
            "Mounts": [_mount(mount) for mount in _mounts(spec)],
            "ShmSize": SHM_BYTES,
            # Whatever the engine's default is: the last log lines must be readable.
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "20m"}},
        }
        if spec.read_only_root and all(mount.target != _TMP for mount in spec.mounts):
            host["Tmpfs"] = {_TMP: _TMPFS}
        if spec.memory_bytes is not None:
            # Equal to the memory limit means no swap.
            host |= {"Memory": spec.memory_bytes, "MemorySwap": spec.memory_bytes}
        if spec.cpus is not None:
            host["NanoCpus"] = int(min(spec.cpus, self._info["NCPU"]) * 1e9)
        if spec.runtime is not None:
            host["Runtime"] = spec.runtime
        if spec.network is not None:
            host["NetworkMode"] = spec.network
        config: dict[str, Any] = {
            "Image": spec.image,
            "Cmd": list(spec.command),
            "Env": [f"{key}={value}" for key, value in spec.env.items()],
            "Labels": dict(labels),
            "StopSignal": STOP_SIGNAL,
            "HostConfig": host,
        }
        if spec.user is not None:
            config["User"] = spec.user
        if spec.hostname is not None:
            config["Hostname"] = spec.hostname
        ports = dict(spec.also_publish)
        if spec.publish is not None:
            ports[spec.port] = spec.publish
        # On an engine elsewhere its loopback is not ours.
        published_on = _LOOPBACK if self._reach == _LOOPBACK else ""
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in ports}
        host["PortBindings"] = {
            f"{port}/tcp": [{"HostIp": published_on, "HostPort": str(outside or "")}]
            for port, outside in ports.items()
        }
        return config


def made_by_the_lab(name: str, labels: Mapping[str, str]) -> bool:
    """Whether the lab made a container, and did not only make what its image is built on.

    Those of earlier versions bear no name, but an owner, which no image has.
    """
    if LABEL_NAME not in labels:
        return LABEL_OWNER in labels
    return labels[LABEL_NAME] == name


def _pull_failed(ref: str, answer: str) -> EngineError:
    remedy = "Check that the registry is up and reachable from the engine."
    return transfer_failed(f"{ref} cannot be pulled: {answer}", remedy=remedy)


def _mounts(spec: ContainerSpec) -> Sequence[Mount]:
    if spec.model_dir is None:
        return spec.mounts
    return (Mount(source=str(spec.model_dir), target=MODEL_DIR), *spec.mounts)


def _mount(mount: Mount) -> dict[str, Any]:
    if mount.source is None:
        return {"Type": "volume", "Target": mount.target, "ReadOnly": False}
    return {
        "Type": "bind" if mount.source.startswith("/") else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def _platform(architecture: str) -> Platform:
    try:
        return _ARCHITECTURES[architecture]
    except KeyError:
        raise EngineError(
            f"The lab knows amd64 and arm64, not {architecture}.",
            remedy="Use an image and an engine of one of these.",
        ) from None


def _host_of(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme in {"tcp", "http", "https", "ssh"} and parts.hostname not in {
        None,
        "localhost",
    }:
        return str(parts.hostname)
    return _LOOPBACK


def _is_here(address: str, info: Mapping[str, Any]) -> bool:
    """Whether containers of the engine may be on a network of this machine.

    Docker Desktop and rootless engines keep theirs to themselves.
    """
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
    desktop = "Docker Desktop" in str(info.get("OperatingSystem"))
    return address.startswith("unix://") and not rootless and not desktop
