"""Whether a smaller image does what the original does, tried on running containers of both."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from lab import busy
from lab.advice.recorder.asking import Payload
from lab.advice.slim.answers import Ask, asks, put, unlike
from lab.contract.check import RuleEntry, chosen, entries
from lab.contract.check import run as check
from lab.contract.model import CheckedImage, RuleContext, RuleFinding, Verdict, Verdicts
from lab.contract.running.calls import HttpCall
from lab.contract.running.session import Session
from lab.engine.api import ContainerSpec
from lab.errors import ContainerFailedError
from lab.progress import Progress, Silent
from lab.spec import LABEL_OWNER, LABEL_ROLE
from lab.start.emulated import environment, patience
from lab.start.serving import Served, serving

Twice: TypeAlias = tuple[HttpCall, HttpCall]
"""The original's own two answers to a question."""

ROLE: Final = "slim-proof"
READY_S: Final = 480.0
ANSWER_S: Final = 60.0
_LOADING_S: Final = 120.0
_PAUSE_S: Final = 0.5
_LOG_LINES: Final = 400
_RANK: Final[Mapping[Verdict, int]] = {
    Verdict.PASS: 0,
    Verdict.WARN: 1,
    Verdict.SKIP: 2,
    Verdict.FAIL: 3,
}
"""The higher, the worse: what could not be tried is not shown to hold."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that the smaller image does worse."""

    what: str
    """The request or the rule."""
    words: str
    """What was seen."""
    log: str
    """What the container said: it may name what it lacks."""
    persists: Callable[[str], bool]
    """Whether an image has it still."""


class Proof:
    """Tries candidates against one original, whose own behaviour is looked at once."""

    def __init__(
        self,
        subject: CheckedImage,
        where: RuleContext,
        payloads: Sequence[Payload],
        progress: Progress,
        *,
        quick: bool = False,
    ) -> None:
        """``quick``: shorter loads, and no memory tiers, in the contract check."""
        self._subject = subject
        self._where = where
        self._asks = asks(payloads)
        self._progress = progress
        self._quick = quick
        self._before: dict[str, Twice] = {}
        self._verdicts: Verdicts | None = None
        self.unsure: list[str] = []
        """What was not judged, in words."""

    @property
    def asked(self) -> Sequence[str]:
        """What both were asked."""
        return [one.name for one in self._asks]

    @property
    def original_verdicts(self) -> Verdicts:
        """Of the original's contract check, made when it is asked for first."""
        if self._verdicts is None:
            self._verdicts = self._checked(self._subject.image, self._entries(), self._progress)
        return self._verdicts

    def answers(self, image: str) -> Sequence[Trouble]:
        """Ask both everything, side by side; what the smaller one answers otherwise.

        Raises ``ContainerFailedError`` when it is the original that does not start or answer.
        """
        with ExitStack() as stack:
            original = stack.enter_context(self._serving(self._subject.image))
            self._until_good(original, must=True)
            try:
                other = stack.enter_context(self._serving(image))
            except ContainerFailedError as error:
                return [self._no_start(error)]
            self._until_good(other)
            step = stack.enter_context(self._progress.step("Ask both the same"))
            found = []
            for number, ask in enumerate(self._asks):
                step.advance(number, len(self._asks))
                step.detail(ask.name)
                first, now, second = (
                    put(one.address, ask, timeout_s=self._answer_s)
                    for one in (original, other, original)
                )
                self._before[ask.name] = (first, second)
                words = unlike(ask, (first, second), now)
                if words is not None:
                    found.append((ask, words))
            log = other.container.logs(tail=_LOG_LINES)
        return [self._trouble(ask, words, log) for ask, words in found]

    def contract(self, image: str) -> Sequence[Trouble]:
        """Every rule of the contract; those with a worse verdict than the original's."""
        before = {one.rule.id: one for one in self.original_verdicts.findings}
        after = self._checked(image, self._entries(), self._progress)
        found = []
        for one in after.findings:
            reference = before.get(one.rule.id)
            if reference is None or not _worse(one, reference):
                continue
            again = self._rule(image, one.rule.id)
            reference = self._rule(self._subject.image, one.rule.id) or reference
            if again is None or not _worse(again, reference):
                continue
            if busy.NOT_JUDGED in again.seen:
                self.unsure.append(f"the rule {one.rule.id}: {again.seen}")
                continue
            found.append(self._broken(again, reference))
        return found

    def _no_start(self, error: ContainerFailedError) -> Trouble:
        return Trouble(
            what="the start",
            words=error.what.splitlines()[0],
            log=error.what,
            persists=lambda image: not self._starts(image),
        )

    def _trouble(self, ask: Ask, words: str, log: str) -> Trouble:
        def persists(image: str) -> bool:
            try:
                with self._serving(image) as served:
                    self._until_good(served)
                    now = put(served.address, ask, timeout_s=self._answer_s)
            except ContainerFailedError:
                return True
            return unlike(ask, self._before[ask.name], now) is not None

        return Trouble(what=ask.name, words=words, log=log, persists=persists)

    def _broken(self, now: RuleFinding, before: RuleFinding) -> Trouble:
        def persists(image: str) -> bool:
            again = self._rule(image, now.rule.id)
            return again is None or _worse(again, before)

        return Trouble(
            what=f"the rule {now.rule.id}",
            words=f"{now.verdict}, and {before.verdict} before: {now.seen}",
            log=f"{now.seen}\n{now.log}",
            persists=persists,
        )

    def _starts(self, image: str) -> bool:
        try:
            with self._serving(image):
                return True
        except ContainerFailedError:
            return False

    def _rule(self, image: str, rule: str) -> RuleFinding | None:
        among = [one for one in entries() if one.rule.id == rule]
        found = self._checked(image, among, Silent()).findings
        return found[0] if found else None

    def _checked(self, image: str, wanted: Sequence[RuleEntry], progress: Progress) -> Verdicts:
        subject = replace(self._subject, image=image)
        with closing(Session(subject, self._where, quick=self._quick)) as session:
            verdicts = check(session, wanted, progress)
        if verdicts.cut_short:
            raise KeyboardInterrupt
        return verdicts

    def _entries(self) -> Sequence[RuleEntry]:
        return chosen((), quick=self._quick, among=entries())

    @property
    def _patience(self) -> float:
        return patience(self._subject.platform, native=self._where.native)

    @property
    def _answer_s(self) -> float:
        return ANSWER_S * self._patience

    @contextmanager
    def _serving(self, image: str) -> Iterator[Served]:
        # Of its own, for what is served is removed by its labels.
        owner = f"{self._where.owner}-{time.monotonic_ns()}"
        spec = ContainerSpec(
            image=image,
            platform=self._subject.platform,
            model_dir=self._subject.model_dir,
            env=environment(self._subject.platform, native=self._where.native),
            labels={LABEL_ROLE: ROLE, LABEL_OWNER: owner},
            publish=0,
            read_only_root=False,
        )
        with serving(self._where.engine, spec, within_s=READY_S * self._patience) as served:
            yield served

    def _until_good(self, served: Served, *, must: bool = False) -> None:
        """Until the first payload is answered, for a model may be loaded after the first 200."""
        give_up_at = time.monotonic() + _LOADING_S * self._patience
        while True:
            answer = put(served.address, self._asks[0], timeout_s=self._answer_s)
            if answer.good:
                return
            loading = answer.status is None or answer.status >= 500
            if not loading or not must or time.monotonic() > give_up_at:
                break
            time.sleep(_PAUSE_S)
        if must:
            raise ContainerFailedError(
                f"{served.image} answers {answer.words_and_body} to {self._asks[0].name}: what it "
                "needs for an answer cannot be seen.",
                remedy="Give a --payload and its --content-type that the model answers.",
            )


def _worse(now: RuleFinding, before: RuleFinding) -> bool:
    return _RANK[now.verdict] > _RANK[before.verdict]
