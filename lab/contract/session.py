"""The containers of a check: made as SageMaker makes them, waited for, and always removed.

Every rule changes one thing against the same base, which is as kind as can be: the image's own
user, a writable root, a writable model, no limits, a network. So an image that breaks one rule
breaks one rule, and not all those that need a container. When even the base does not get ready,
the rules about starting say why, and the others are skipped.

A rule is a ``Rule`` and a function that takes the ``Session`` and returns a ``Finding`` or several;
a rule's module lists its pairs as ``RULES``. A function may raise ``CannotTry``: a skip, in words.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from lab.contract import calls, sockets
from lab.contract.calls import Call
from lab.contract.model import Finding, Rule, Subject, Verdict, Where
from lab.contract.samples import CANDIDATES
from lab.engine.api import ContainerSpec, Mount
from lab.engine.container import DockerContainer
from lab.engine.docker import MODEL_DIR
from lab.engine.foreign import translated
from lab.errors import EngineError
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, PORT
from lab.start.cause import CauseKind, death, not_ready, not_started
from lab.start.probe import Probes, probe
from lab.start.watch import Watch

ROLE: Final = "contract-check"
START_LIMIT_S: Final = 180.0
"""What serverless allows; real time allows 480."""

_PROBE_S: Final = 0.02
_SLICE_S: Final = 5.0
_SETTLED_S: Final = 10.0
"""After this a wrong port, or a 4xx to /ping, is no longer taken for a start under way."""

_T = TypeVar("_T")


class CannotTry(Exception):  # noqa: N818 - an outcome
    """A rule cannot be tried on this image, or here."""


class NotReady(Exception):  # noqa: N818 - an outcome
    """A container did not get ready."""

    def __init__(self, message: str, seen: "Unready") -> None:
        super().__init__(message)
        self.seen = seen


@dataclass(frozen=True, kw_only=True)
class Unready:
    """What was seen of a container that did not get ready."""

    kind: CauseKind
    exit_code: int | None = None
    last_ping_status: int | None = None
    accepting: bool = False
    log_tail: str = ""
    listening: Sequence[sockets.Listening] | None = None
    """None where it cannot be seen."""
    waited_s: float = 0.0


class Running:
    """A container that is ready."""

    def __init__(
        self,
        container: DockerContainer,
        address: tuple[str, int],
        *,
        ready_s: float,
        probes: Probes,
    ) -> None:
        self.container = container
        self.address = address
        self.ready_s = ready_s
        """From the order to start to the first 200."""
        self.probes = probes

    def ping(self, *, timeout_s: float = 10.0) -> Call:
        """Ask ``/ping``, with more patience than SageMaker has."""
        return self.get("/ping", timeout_s=timeout_s)

    def get(self, path: str, *, timeout_s: float = 10.0, method: str = "GET") -> Call:
        """Ask for a path on a connection of its own."""
        return self.call(calls.get(path, method=method), timeout_s=timeout_s)

    def invoke(
        self,
        body: bytes,
        content_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = calls.INVOCATION_LIMIT_S,
    ) -> Call:
        """Ask for one prediction on a connection of its own."""
        return self.call(calls.post(body, content_type, headers=headers), timeout_s=timeout_s)

    def call(self, prepared: bytes, *, timeout_s: float = calls.INVOCATION_LIMIT_S) -> Call:
        """Send what was prepared on a connection of its own."""
        return calls.call(self.address, prepared, timeout_s=timeout_s)

    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            return self.container.state().running
        except EngineError:
            return False


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A request that the server answers with 2xx."""

    body: bytes
    content_type: str
    given: bool
    """Whether the user gave it; else it is one of the lab's own that happens to be understood."""
    first: Call


class Session:
    """The containers of one check."""

    def __init__(
        self,
        subject: Subject,
        where: Where,
        *,
        start_limit_s: float = START_LIMIT_S,
        quick: bool = False,
    ) -> None:
        self.subject = subject
        self.where = where
        self.start_limit_s = start_limit_s
        self.quick = quick
        """Shorter loads, and no rule that takes long."""
        self.findings: list[Finding] = []
        """Of the rules that ran before: a rule may build on them."""
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self._kept: dict[str, Any] = {}
        self._base: Running | None = None
        self._refusal: NotReady | None = None

    def once(self, key: str, make: Callable[[], _T]) -> _T:
        """What ``make`` returns, made once a check: rules that judge the same measurement share it.

        A failure is kept and raised again.
        """
        with self._lock:
            if key not in self._kept:
                try:
                    self._kept[key] = make()
                except (CannotTry, NotReady) as error:
                    self._kept[key] = error
            kept = self._kept[key]
        if isinstance(kept, CannotTry | NotReady):
            raise kept
        made: _T = kept
        return made

    def config(self) -> Mapping[str, Any]:
        """The image's configuration as the engine has it: Entrypoint, Cmd, Labels, Env, User."""

        def look() -> Mapping[str, Any]:
            with translated():
                seen = self.where.engine.client.inspect_image(self.subject.image)
            return dict(seen.get("Config") or {})

        return self.once("config", look)

    def verdict(self, rule_id: str) -> Verdict | None:
        """How a rule that ran before went; None if it did not run."""
        found = [one.verdict for one in self.findings if one.rule.id == rule_id]
        return found[-1] if found else None

    def base(self) -> Running:
        """The container that rules share, ready and alive: a new one if a rule killed the last.

        Raises ``CannotTry`` when the image does not get ready at all.
        """
        try:
            return self.start_base()
        except NotReady as error:
            raise CannotTry("the container does not get ready at all") from error

    def start_base(self) -> Running:
        """The same, for the rules about starting. Raises ``NotReady``."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if self._base is None or not self._base.alive():
                try:
                    self._base = self._stack.enter_context(self._started({}))
                except NotReady as error:
                    if self._base is None:
                        self._refusal = error
                    raise
            return self._base

    @contextmanager
    def running(self, **changes: Any) -> Iterator[Running]:
        """A container of its own, ready, that differs from the base in ``changes``: fields of
        ``ContainerSpec``. ``model_dir`` replaces the writable copy of the model; ``env``,
        ``labels`` and ``mounts`` are added to the base's.

        Raises ``NotReady``, or ``CannotTry`` when the base does not get ready either.
        """
        self.base()
        with self._started(changes) as ready:
            yield ready

    @contextmanager
    def created(self, **changes: Any) -> Iterator[DockerContainer]:
        """The same, not yet started."""
        container = self.where.engine.create(self.spec(changes))
        try:
            yield container
        finally:
            with suppress(EngineError):
                container.remove()

    def spec(self, changes: Mapping[str, Any]) -> ContainerSpec:
        """The base with changes."""
        mounts: list[Mount] = list(changes.get("mounts", ()))
        if self.subject.model_dir is not None and "model_dir" not in changes:
            copy = self._writable_model(Path(self.subject.model_dir))
            mounts.append(Mount(source=str(copy), target=MODEL_DIR, read_only=False))
        fields: dict[str, Any] = {
            "image": self.subject.image,
            "platform": self.subject.platform,
            "publish": 0,
            "read_only_root": False,
            **changes,
            "mounts": tuple(mounts),
            "labels": {
                **changes.get("labels", {}),
                LABEL_ROLE: ROLE,
                LABEL_OWNER: self.where.owner,
            },
        }
        return ContainerSpec(**fields)

    def sample(self) -> Sample:
        """A request that the server answers well: the user's, else the first of the lab's own.

        Raises ``CannotTry`` when there is none.
        """
        return self.once("sample", self._find_sample)

    def isolated_network(self) -> str:
        """The name of a network that leads nowhere, from which containers are reached all the same.

        Raises ``CannotTry`` where containers are not on a network of this machine.
        """
        return self.once("network", self._make_network)

    def close(self) -> None:
        """Remove everything."""
        self._stack.close()

    def _make_network(self) -> str:
        engine = self.where.engine
        if not engine.bridged:
            raise CannotTry("containers of this engine cannot be reached without a published port")
        name = f"inference-lab-{self.where.owner}"
        with translated():
            made = engine.client.create_network(
                name, internal=True, labels={LABEL: "true", LABEL_OWNER: self.where.owner}
            )

        def remove() -> None:
            with suppress(EngineError), translated():
                engine.client.remove_network(made["Id"])

        self._stack.callback(remove)
        return name

    def _writable_model(self, model: Path) -> Path:
        def copy() -> Path:
            target = self.where.work / "writable-model"
            shutil.copytree(model, target, symlinks=True)
            for path in (target, *target.rglob("*")):
                path.chmod(0o777 if path.is_dir() else 0o666)
            return target

        return self.once("writable-model", copy)

    def _find_sample(self) -> Sample:
        base = self.base()
        if self.subject.payload is not None:
            body, kind = self.subject.payload, self.subject.content_type
            answer = base.invoke(body, kind)
            if answer.good:
                return Sample(body=body, content_type=kind, given=True, first=answer)
            raise CannotTry(f"the payload is answered with {answer.words}")
        for body, kind in CANDIDATES:
            answer = base.invoke(body, kind)
            if answer.good:
                return Sample(body=body, content_type=kind, given=False, first=answer)
            base = self.base()
        raise CannotTry("the lab has no payload that this model answers: give one with --payload")

    @contextmanager
    def _started(self, changes: Mapping[str, Any]) -> Iterator[Running]:
        with self.created(**changes) as container:
            begin = time.monotonic()
            try:
                container.start()
                address = container.address()
            except EngineError as error:
                cause = not_started(container, error)
                seen = Unready(kind=cause.kind, exit_code=cause.exit_code, log_tail=cause.log_tail)
                raise NotReady(cause.message, seen) from error
            probes = self._wait(container, address, begin)
            ready_s = time.monotonic() - begin
            yield Running(container, address, ready_s=ready_s, probes=probes)

    def _wait(self, container: DockerContainer, address: tuple[str, int], begin: float) -> Probes:
        give_up_at = begin + self.start_limit_s
        with Watch(container) as watch:
            while True:
                now = time.monotonic()
                seen = probe(
                    address,
                    interval_s=_PROBE_S,
                    give_up_at=min(give_up_at, now + _SLICE_S),
                    gone=watch.gone,
                )
                if seen.ready_ns is not None:
                    return seen
                waited = time.monotonic() - begin
                listening = sockets.listening(container)
                if (
                    watch.gone()
                    or time.monotonic() >= give_up_at
                    or (waited >= _SETTLED_S and _hopeless(seen, listening, address))
                ):
                    break
        cause = not_ready(container, seen, waited)
        raise NotReady(
            cause.message,
            Unready(
                kind=cause.kind,
                exit_code=cause.exit_code,
                last_ping_status=seen.last_status,
                accepting=seen.accepting_ns is not None,
                log_tail=cause.log_tail,
                listening=listening or sockets.listening(container),
                waited_s=waited,
            ),
        )


def died(container: DockerContainer) -> str:
    """Why a container is gone, in words; empty if it lives."""
    cause = death(container, "after this")
    return "" if cause is None else cause.message


def _hopeless(
    seen: Probes, listening: Sequence[sockets.Listening] | None, address: tuple[str, int]
) -> bool:
    """Whether waiting on is pointless: /ping is refused for good, or another port answers it."""
    if seen.last_status is not None:
        return 400 <= seen.last_status < 500  # noqa: PLR2004
    if seen.accepting_ns is not None or listening is None:
        return False
    if any(one.port == PORT for one in listening):
        return all(one.loopback for one in listening if one.port == PORT)
    return any(
        calls.call((address[0], one.port), calls.get("/ping"), timeout_s=2.0).good
        for one in listening
        if not one.loopback
    )


def finding(rule: Rule, verdict: Verdict, seen: str, data: Any = None) -> Finding:
    """Short for what every rule returns."""
    return Finding(rule=rule, verdict=verdict, seen=seen, data=data)
