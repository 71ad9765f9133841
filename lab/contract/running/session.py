"""The containers of a check: made as SageMaker makes them, waited for, and always removed.

Every rule changes one thing against the same base, which is as kind as can be: the image's own
user, a writable root, a writable model, no limits, a network. So an image that breaks one rule
breaks one rule, and not all those that need a container. When even the base does not get ready,
the rules about starting say why, and the others are skipped.

A rule's words are in ``rules.yaml``. It is tried by a function of the ``Session`` that returns the
verdict and what was seen, listed under the rule's name in its module's ``TRIES``. The function may
raise ``CannotTry``: a skip, in words.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, TypeAlias, TypeVar

from lab import busy
from lab.contract.model import CheckedImage, RuleContext, RuleFinding, Tried, Verdict
from lab.contract.running.asking import Endurance, Warming, endure
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import (
    INVOCATION,
    CannotTry,
    CheckPayload,
    LargestAnswer,
    NotAnswered,
    Running,
    cause_of_death,
)
from lab.contract.running.payloads import CANDIDATES
from lab.contract.running.readiness import NeverReady, refused, wait_until_ready
from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.errors import translated
from lab.engine.docker.owned import of_this_process
from lab.engine.interrupt import uninterrupted
from lab.errors import EngineError
from lab.images.layers.saved import Saved, save
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, MODEL_DIR, PORT
from lab.start.asking import AskingPatience
from lab.start.cause import EXEC_FORMAT_ERROR
from lab.start.emulated import NOT_JUDGED, emulated, environment, patience

ROLE: Final = "contract-check"
START_LIMIT_S: Final = 180.0
"""What serverless allows; real time allows 480."""

_PATIENCE_S: Final = 30.0
_PATIENCE: Final = 5
_STEADY_S, _QUICK_STEADY_S = 30.0, 15.0
"""For how long an error is asked again that shows no sign of becoming an answer."""
_QUICK_LOADING_S: Final = 60.0
_ENOUGH_S, _QUICK_ENOUGH_S = 20.0, 8.0
_COLD_S: Final = 1.0
"""A first answer slower than this is asked for again: it may be the only slow one."""
_STRETCH: Final = 1.5
"""A container under a condition may take so much longer for its model than the base."""

_T = TypeVar("_T")


def once(measure: Callable[["Session"], _T]) -> Callable[["Session"], _T]:
    """Measure once a check: rules that judge the same measurement share it.

    A failure is kept and raised again.
    """

    @wraps(measure)
    def shared(session: "Session") -> _T:
        if measure not in session.measured:
            try:
                session.measured[measure] = measure(session)
            except (CannotTry, NeverReady) as error:
                session.measured[measure] = error
        result: _T | CannotTry | NeverReady = session.measured[measure]
        if isinstance(result, CannotTry | NeverReady):
            raise result
        return result

    return shared


class Session:
    """The containers of one check."""

    def __init__(
        self,
        subject: CheckedImage,
        where: RuleContext,
        *,
        start_limit_s: float | None = None,
        quick: bool = False,
    ) -> None:
        """``start_limit_s`` None is what serverless allows, times the patience."""
        self.subject = subject
        self.where = where
        self._start_limit_s = start_limit_s
        self.quick = quick
        """Shorter loads, and no rule that takes long."""
        self.findings: list[RuleFinding] = []
        """Of the rules that ran before: a rule may build on them."""
        self.measured: dict[Any, Any] = {}
        """What was measured ``once``."""
        self.largest = LargestAnswer()
        self.loads_late = False
        """Whether it was seen to answer with errors after the first 200, and then no longer: then
        every container of it is given the time."""
        self._unsettled_s = 0.0
        """For how long some of its workers did, and others did not."""
        self.about_time = False
        """Whether what is tried asked if time is judged: set by ``emulated``."""
        self._lenient = False
        self._began: busy.Reading | None = None
        self._stack = ExitStack()
        self._base: Running | None = None
        self._refusal: NeverReady | None = None

    @property
    def emulated(self) -> bool:
        """Whether how long it takes is not judged: it runs under emulation, or the machine was so
        busy that it is tried again without.
        """
        self.about_time = True
        return self._lenient or emulated(self.subject.platform, native=self.where.native)

    @property
    def patience(self) -> float:
        """What the check's own time-outs are multiplied by."""
        return patience(self.subject.platform, native=self.where.native)

    @property
    def start_limit_s(self) -> float:
        """How long a container is waited for."""
        if self._start_limit_s is not None:
            return self._start_limit_s
        return START_LIMIT_S * self.patience

    def limit(self, seconds: float) -> float:
        """A limit of time of the contract's: none under emulation."""
        return math.inf if self.emulated else seconds

    def timed(self, seen: str) -> str:
        """What was seen of a rule about time, with a word about emulation."""
        if not self.emulated:
            return seen
        return f"{seen} ({busy.NOT_JUDGED if self._lenient else NOT_JUDGED})"

    @contextmanager
    def lenient(self) -> Iterator[None]:
        """Judge no time, as under emulation."""
        self._lenient = True
        try:
            yield
        finally:
            self._lenient = False

    def begin(self) -> None:
        """The check begins, after whatever it had to wait for."""
        self._began = self._now()

    def watching(self) -> Callable[[], busy.MachineUse | None]:
        """From now on; what it returns says what others took of the machine meanwhile, if that
        was too much: since now, or since the check began.
        """
        since = self._now()

        def taken() -> busy.MachineUse | None:
            now = self._now()
            if now is None:
                return None
            with suppress(EngineError):
                ours = [
                    one.id for one in self.where.engine.containers({LABEL_OWNER: self.where.owner})
                ]
                uses = [busy.between(begin, now, ours=ours) for begin in (since, self._began)]
                return next((use for use in uses if busy.disturbed(use)), None)
            return None

        return taken

    def _now(self) -> busy.Reading | None:
        return busy.read() if self.where.here else None

    @once
    def inspected(self) -> Mapping[str, Any]:
        """The engine's whole record of the image."""
        with translated():
            return dict(self.where.engine.client.inspect_image(self.subject.image))

    def config(self) -> Mapping[str, Any]:
        """The image's configuration as the engine has it: Entrypoint, Cmd, Labels, Env, User."""
        return self.inspected().get("Config") or {}

    def claims(self, label: str) -> bool:
        """Whether the image's label of that name says ``true``."""
        return (self.config().get("Labels") or {}).get(label) == "true"

    @once
    def saved(self) -> Saved:
        """Every layer of the image, read through. Raises ``CannotTry`` when it cannot be had."""
        try:
            return save(self.where.engine, self.subject.image)
        except EngineError as error:
            raise CannotTry(f"the image's layers cannot be read: {error.what}") from error

    def finding(self, rule_id: str) -> RuleFinding | None:
        """What a rule that ran before has seen; None if it did not run."""
        return next((one for one in reversed(self.findings) if one.rule.id == rule_id), None)

    def verdict(self, rule_id: str) -> Verdict | None:
        """How it went; None if it did not run."""
        found = self.finding(rule_id)
        return None if found is None else found.verdict

    def base(self) -> Running:
        """The container that rules share, ready and alive: a new one if a rule killed the last.

        Raises ``CannotTry`` when the image does not get ready at all.
        """
        try:
            return self.start_base()
        except NeverReady as error:
            raise CannotTry("the container does not get ready at all") from error

    def start_base(self) -> Running:
        """The same, for the rules about starting. Raises ``NeverReady``."""
        if self._refusal is not None:
            raise self._refusal
        if self.verdict("platform") is Verdict.FAIL:
            raise CannotTry("its programs are for another processor: see platform")
        if self._base is None or not self._base.alive():
            try:
                self._base = self._stack.enter_context(
                    self._started({}, within_s=self.start_limit_s)
                )
                self.wait_for_model(self._base)
            except NeverReady as error:
                self._refuse_foreign(error)
                if self._base is None:
                    self._refusal = error
                raise
        return self._base

    def base_if_ready(self) -> Running | None:
        """The container that rules share, if one is ready: none is started for it."""
        return self._base

    @contextmanager
    def running(
        self, *, within_s: float | None = None, as_it_is: bool = False, **changes: Any
    ) -> Iterator[Running]:
        """A container of its own, ready, that differs from the base in ``changes``: fields of
        ``ContainerSpec``. ``model_dir`` replaces the writable copy of the model; ``labels`` and
        ``mounts`` are added to the base's.

        It is waited for some times longer than the base took, unless ``within_s`` says how long;
        of an image that loads its model after the first 200 also until it is loaded, unless it is
        wanted ``as_it_is``. Raises ``NeverReady``, or ``CannotTry`` when the base does not get
        ready either.
        """
        limit_s = self.another_s()
        with self._started(changes, within_s=limit_s if within_s is None else within_s) as ready:
            if not as_it_is:
                self.wait_for_model(ready)
            yield ready

    def another_s(self) -> float:
        """How long a container beside the base is waited for. Raises ``CannotTry`` as it does."""
        return min(self.start_limit_s, _PATIENCE_S + _PATIENCE * self.base().ready_s)

    def wait_for_model(self, ready: Running) -> None:
        """Of an image that loads its model after the first 200: until it is loaded."""
        sample = self.sample_if_any() if self.loads_late else None
        if sample is None:
            return
        if not self._unsettled_s:
            ready.until_good(sample.body, sample.content_type, self.asking)
            return
        # Of several workers each loads by itself: one that answers says nothing of the others.
        time.sleep(max(0.0, ready.ready_at + _STRETCH * self._unsettled_s - time.monotonic()))
        endure(
            lambda: ready.until_good(sample.body, sample.content_type, self.asking)[-1],
            death=lambda: None if ready.alive() else cause_of_death(ready.container, "then"),
            steady_s=self.asking.steady_s,
            enough_s=_ENOUGH_S,
        )

    @contextmanager
    def created(self, **changes: Any) -> Iterator[DockerContainer]:
        """The same, not yet started."""
        with nullcontext(()) if "model_dir" in changes else self.model_copy() as model:
            container = self.where.engine.create(self._spec(changes, model))
            try:
                yield container
            finally:
                # What a busy engine does not remove is removed in the end, by its owner's label.
                with uninterrupted(), suppress(EngineError):
                    container.remove()

    def _spec(self, changes: Mapping[str, Any], model: Sequence[Mount]) -> ContainerSpec:
        fields: dict[str, Any] = {
            "image": self.subject.image,
            "platform": self.subject.platform,
            "publish": 0,
            "read_only_root": False,
            **changes,
            "env": {
                **environment(self.subject.platform, native=self.where.native),
                **changes.get("env", {}),
            },
            "mounts": (*model, *changes.get("mounts", ())),
            "labels": {
                **changes.get("labels", {}),
                LABEL_ROLE: ROLE,
                LABEL_OWNER: self.where.owner,
                **of_this_process(),
            },
        }
        return ContainerSpec(**fields)

    @property
    def asking(self) -> AskingPatience:
        """How long an invocation that is answered with an error is tried again."""
        loading_s, steady_s = (
            (_QUICK_LOADING_S, _QUICK_STEADY_S)
            if self.quick
            else (
                self.start_limit_s,
                _STEADY_S,
            )
        )
        return AskingPatience(
            loading_s=min(loading_s, self.start_limit_s), steady_s=steady_s * self.patience
        )

    @once
    def answered(self) -> CheckPayload:
        """A request that the server answers well: the user's, else the first of the lab's own.

        Right after the first 200 it may be answered with errors, and is asked again. Raises
        ``NotAnswered`` for the user's, ``CannotTry`` when none of the lab's is answered.
        """
        given = self.subject.payload
        if given is None:
            return self._lab_payload()
        base = self.base()
        kind = self.subject.content_type
        answers = base.until_good(given, kind, self.asking)
        if not answers[-1].good:
            raise NotAnswered(answers, base.container)
        return self._payload(given, kind, answers, base)

    def _lab_payload(self) -> CheckPayload:
        begin = time.monotonic()
        while True:
            errors = 0
            for body, kind in CANDIDATES:
                base = self.base()
                answer = base.invoke(body, kind)
                if answer.good:
                    return self._payload(body, kind, [answer], base)
                if answer.redirects:  # whatever it is asked
                    raise NotAnswered([answer], base.container)
                errors += answer.status is None or answer.status >= 500
            # One that says 4xx to some of them has its model; nobody knows of one that says 500.
            if errors < len(CANDIDATES) or time.monotonic() > begin + self.asking.steady_s / 3:
                raise CannotTry(
                    "the lab has no payload that this model answers: give one with --payload"
                )
            time.sleep(1)

    def _payload(
        self, body: bytes, kind: str, answers: Sequence[HttpCall], base: Running
    ) -> CheckPayload:
        bad, answer = answers[:-1], answers[-1]
        if bad or answer.seconds > _COLD_S:
            # How it answers when it is warm is what the rules build on.
            again = base.invoke(body, kind)
            answer = again if again.good else answer
        warming = Warming(ready_at=base.ready_at, bad=bad)
        self.loads_late = self.loads_late or bool(bad)
        return CheckPayload(
            body=body, content_type=kind, first=answers[-1], answer=answer, warming=warming
        )

    @once
    def endurance(self) -> Endurance:
        """What came of asking the same again and again."""
        sample, base = self.answered(), self.base()
        before = base.invocations
        seen = endure(
            lambda: base.predict(sample),
            death=lambda: cause_of_death(base.container, "at an invocation"),
            steady_s=self.asking.steady_s,
            enough_s=(_QUICK_ENOUGH_S if self.quick else _ENOUGH_S) * self.patience,
        )
        self._unsettled_s = Warming(ready_at=base.ready_at, bad=seen.unsettled).seconds
        self.loads_late = self.loads_late or bool(seen.unsettled)
        return replace(seen, before=before)

    @once
    def sample(self) -> CheckPayload:
        """The same, of a server that goes on answering.

        Raises ``CannotTry`` when there is none, with a pointer to the rule that says why.
        """
        sample = self.answered()
        if self.endurance().broken:
            raise CannotTry("it does not go on answering: see keeps-running")
        return sample

    def sample_if_any(self) -> CheckPayload | None:
        """The same, but None when there is none: ``unasked`` says why."""
        try:
            return self.sample()
        except CannotTry:
            return None

    @property
    def unasked(self) -> str:
        """Why there is nothing to invoke it with, in brackets; nothing where there is."""
        try:
            self.sample()
        except CannotTry as error:
            return f" (not invoked: {error})"
        return ""

    def content_type(self) -> str:
        """Of a body that is no payload: as the user's, or as what the server was seen to take."""
        if self.subject.payload is not None:
            return self.subject.content_type
        sample = self.sample_if_any()
        return sample.content_type if sample else "application/json"

    def outlive_requests(self) -> None:
        """Raises ``CannotTry`` where requests are the death of it, whatever is in them."""
        try:
            self.answered()
        except NotAnswered as error:
            if error.death is not None:
                raise
            return
        except CannotTry:
            return
        if self.endurance().broken:
            raise CannotTry("it does not go on answering: see keeps-running")

    def _hear(self, prepared: bytes, answer: HttpCall) -> None:
        if answer.good and prepared.startswith(INVOCATION):
            said = len(answer.body)
            if said > self.largest.said_bytes:
                self.largest = LargestAnswer(asked_bytes=len(prepared), said_bytes=said)

    @once
    def isolated_network(self) -> str:
        """The name of a network that leads nowhere, from which containers are reached all the same.

        Raises ``CannotTry`` where containers are not on a network of this machine.
        """
        engine = self.where.engine
        if not engine.bridged:
            raise CannotTry("containers of this engine cannot be reached without a published port")
        name = f"inference-lab-{self.where.owner}"
        with translated():
            made = engine.client.create_network(
                name,
                internal=True,
                labels={LABEL: "true", LABEL_OWNER: self.where.owner, **of_this_process()},
            )

        def remove() -> None:
            with suppress(EngineError), translated():
                engine.client.remove_network(made["Id"])

        self._stack.callback(remove)
        return name

    def close(self) -> None:
        self._stack.close()

    def _refuse_foreign(self, error: NeverReady) -> None:
        """An image for the other platform that this machine cannot run breaks no rule by that."""
        here = self.where.native
        wrong = EXEC_FORMAT_ERROR in f"{error} {error.seen.log}"
        if wrong and here is not self.subject.platform:
            raise CannotTry(
                f"this machine ({here}) cannot run {self.subject.platform} images; "
                "`lab doctor` says what emulation needs"
            ) from error

    @contextmanager
    def model_copy(self) -> Iterator[Sequence[Mount]]:
        """A copy of the model that everybody may write to: for one container only, since what one
        leaves behind must not be in the way of the next, which may run as somebody else.
        """
        if self.subject.model_dir is None:
            yield ()
            return
        copy = Path(mkdtemp(prefix="model-", dir=self.where.work))
        try:
            shutil.copytree(self.subject.model_dir, copy, symlinks=True, dirs_exist_ok=True)
            for path in (copy, *copy.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o777 if path.is_dir() else 0o666)
            yield (Mount(source=str(copy), target=MODEL_DIR, read_only=False),)
        finally:
            # What a container wrote as root may not be ours to remove.
            shutil.rmtree(copy, ignore_errors=True)

    @contextmanager
    def _started(self, changes: Mapping[str, Any], *, within_s: float) -> Iterator[Running]:
        with self.created(**changes) as container:
            yield self.started(container, within_s=within_s, port=changes.get("port", PORT))

    def started(
        self,
        container: DockerContainer,
        *,
        within_s: float,
        port: int = PORT,
        begin: float | None = None,
    ) -> Running:
        """A container once it is ready; it is started unless it was at ``begin``.

        Raises ``NeverReady``.
        """
        begun = time.monotonic() if begin is None else begin
        try:
            if begin is None:
                container.start()
            address = container.address()
        except EngineError as error:
            raise refused(container, error) from error
        probes = wait_until_ready(container, address, port=port, begin=begun, within_s=within_s)
        return Running(
            container,
            address,
            ready_s=time.monotonic() - begun,
            probes=probes,
            patience=self.patience,
            heard=self._hear,
        )


Tries: TypeAlias = Mapping[str, Callable[[Session], Tried]]
"""How rules are tried, by their names."""
