"""The rules about where it runs: not as root, on a read-only root, with nobody to call."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lab.contract import sources
from lab.contract.model import Rule, RuleFinding, Verdict
from lab.contract.rules.start import unready_words
from lab.contract.running.calls import HttpCall
from lab.contract.running.session import CannotTry, NeverReady, Session, finding
from lab.spec import SERVERLESS_USER
from lab.units import format_seconds

MODEL_READ_ONLY = Rule(
    id="model-read-only",
    title="It runs with /opt/ml/model read-only",
    why="SageMaker mounts the model read-only; the SDK's local mode does not, and hides it.",
    change="Write caches and compiled models to /tmp, or make them when the image is built.",
    source=sources.INFERENCE_CODE,
)
NON_ROOT = Rule(
    id="non-root",
    title=f"It runs as a user that is not root ({SERVERLESS_USER})",
    why="Serverless endpoints do not run containers as root: the same image works in real time "
    "and fails there.",
    change="Make what is read readable and what is written writable for all "
    "(RUN chmod -R o+rwX PATH), and set HOME=/tmp.",
    source=sources.SERVERLESS_TROUBLE,
)
READ_ONLY_ROOT = Rule(
    id="read-only-root",
    title="It runs on a read-only root file system with a writable /tmp",
    why="On serverless only /tmp can be relied on to be writable.",
    change="Write to /tmp only: TMPDIR, HOME, caches, PID files, nginx's bodies and logs.",
    source=sources.SERVERLESS_TROUBLE,
)
NO_NETWORK = Rule(
    id="no-network",
    title="It starts and answers without any network",
    why="With EnableNetworkIsolation there is none; without it, a download at start makes every "
    "scale-out depend on somebody else's server.",
    change="Put what is downloaded at start into the image or the model archive.",
    source=f"{sources.API_MODEL}: EnableNetworkIsolation",
)


def judge_condition(
    ready_s: float, usual_s: float, answer: HttpCall | None, *, emulated: bool = False
) -> tuple[Verdict, str]:
    """A container that got ready under a condition, and what it answered (None: not asked).

    ``emulated``: how long either took says nothing.
    """
    said = f"ready after {format_seconds(ready_s)}"
    if answer is None:
        return Verdict.PASS, f"{said} (no payload: not invoked)"
    if not answer.good:
        slow = emulated and answer.late
        return (
            Verdict.SKIP if slow else Verdict.FAIL,
            f"{said}, but an invocation: {answer.words} {answer.said}".rstrip(),
        )
    if ready_s > 2 * usual_s + 1 and not emulated:
        return Verdict.WARN, f"{said} instead of {format_seconds(usual_s)}: what does it wait for?"
    return Verdict.PASS, f"{said}, invocation {answer.words}"


def _under(
    session: Session, rule: Rule, changes: Callable[[Session], dict[str, Any]]
) -> RuleFinding:
    base = session.base()
    fields = changes(session)
    try:
        with session.running(**fields) as ready:
            answer = _answer(session, ready.invoke)
            if answer is not None and not answer.good and not ready.alive():
                tail = ready.container.logs(tail=1).strip()
                return finding(rule, Verdict.FAIL, f"it exits at the first invocation: {tail}")
            verdict, seen = judge_condition(
                ready.ready_s, base.ready_s, answer, emulated=session.emulated
            )
            return finding(rule, verdict, session.timed(seen), {"ready_s": ready.ready_s})
    except NeverReady as error:
        return finding(rule, Verdict.FAIL, unready_words(error))


def _answer(session: Session, invoke: Callable[[bytes, str], HttpCall]) -> HttpCall | None:
    try:
        sample = session.sample()
    except CannotTry:
        return None
    return invoke(sample.body, sample.content_type)


def _read_only_model(session: Session) -> dict[str, Any]:
    if session.subject.model_dir is None:
        raise CannotTry("there is no model to mount: give one with --model-data")
    return {"model_dir": session.subject.model_dir}


def _no_network(session: Session) -> dict[str, Any]:
    return {"network": session.isolated_network(), "publish": None}


RULES: Sequence[tuple[Rule, Callable[[Session], RuleFinding]]] = (
    (MODEL_READ_ONLY, partial(_under, rule=MODEL_READ_ONLY, changes=_read_only_model)),
    (NON_ROOT, partial(_under, rule=NON_ROOT, changes=lambda _: {"user": SERVERLESS_USER})),
    (
        READ_ONLY_ROOT,
        partial(_under, rule=READ_ONLY_ROOT, changes=lambda _: {"read_only_root": True}),
    ),
    (NO_NETWORK, partial(_under, rule=NO_NETWORK, changes=_no_network)),
)
