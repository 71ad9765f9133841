"""What the image can be used for: each kind of endpoint asked for, and what it lacks for it.

To lack something is no fault, so these warn; only a label that promises too much fails.
"""

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lab.contract import sources
from lab.contract.fitness import REAL_TIME, SERVERLESS, fitness, spoilers
from lab.contract.model import Rule, RuleFinding, Verdict
from lab.contract.rules.memory import trials
from lab.contract.rules.start import SERVERLESS_START_S, unready_words
from lab.contract.running.calls import HttpCall
from lab.contract.running.multimodel import PLACE, ModelStep, answers_models, converse
from lab.contract.running.session import CannotTry, CheckPayload, NeverReady, Session, finding
from lab.engine.api import Mount
from lab.spec import SERVERLESS_TIERS, SERVERLESS_USER, Platform, Tier
from lab.units import format_seconds
from lab.wire import connect

_MULTI_MODEL_LABEL: Final = "com.amazonaws.sagemaker.capabilities.multi-models"
_STREAM_LABEL: Final = "com.amazonaws.sagemaker.capabilities.bidirectional-streaming"
_STREAM_PATH: Final = "/invocations-bidirectional-stream"
_SERVER_ERROR: Final = 500
_OK: Final = 200
_SWITCHING: Final = b"101"
_STRATEGIES: Final = ("MULTI_RECORD", "SINGLE_RECORD")
_MOST_MB: Final = 100
_PATIENCE_S: Final = 10.0

ON_REAL_TIME = Rule(
    id="kind-real-time",
    title="It can serve a real-time endpoint",
    why="Everything that a real-time endpoint asks of a container, taken together.",
    change="Mend the rules that are named.",
    source=sources.INFERENCE_CODE,
)
ON_SERVERLESS = Rule(
    id="kind-serverless",
    title="It can serve a serverless endpoint: all of its conditions at once",
    why="Not root, a read-only root and model, one tier's memory and CPU: each may be kept alone "
    "and not together.",
    change="Mend the rules that are named; they say how.",
    source=sources.SERVERLESS,
)
ON_BATCH = Rule(
    id="kind-batch",
    title="It can serve batch transform: /execution-parameters is valid, or left to the defaults",
    why="Batch asks for it before the first record; the job's own settings come first, then this "
    "answer, then 1 at a time, MULTI_RECORD and 6 MB.",
    change='Answer GET /execution-parameters with {"MaxConcurrentTransforms": n, "BatchStrategy": '
    '"MULTI_RECORD" or "SINGLE_RECORD", "MaxPayloadInMB": n}, n x n at most 100; or with 404.',
    source=sources.BATCH,
)
ON_MULTI_MODEL = Rule(
    id="kind-multi-model",
    title="It can serve a multi-model endpoint: its label, and load, list, invoke and unload",
    why="SageMaker polls GET /models beside /ping: without it the endpoint fails with the generic "
    "message about the ping.",
    change=f"If it is to: implement the /models API and set LABEL {_MULTI_MODEL_LABEL}=true; "
    "else leave the label out.",
    source=sources.MULTI_MODEL,
)
STREAMS = Rule(
    id="kind-streaming",
    title="Its answer may be streamed",
    why="InvokeEndpointWithResponseStream passes on chunks as the container sends them; an answer "
    "in one piece is passed on as one.",
    change="To stream, answer with Transfer-Encoding: chunked, and send each chunk as it is made.",
    source=sources.RUNTIME_MODEL,
)
BOTH_WAYS = Rule(
    id="kind-bidirectional",
    title="A label that promises bidirectional streaming is kept",
    why=f"SageMaker opens a WebSocket at {_STREAM_PATH} on port 8080.",
    change=f"Accept the WebSocket there, or leave the label {_STREAM_LABEL} out.",
    source=sources.BIDIRECTIONAL,
)


def judge_parameters(answer: HttpCall) -> tuple[Verdict, str]:
    """What ``GET /execution-parameters`` was answered with."""
    if answer.status is None:
        return Verdict.WARN, f"GET /execution-parameters: {answer.words}"
    if answer.status != _OK:
        verdict = Verdict.WARN if answer.status >= _SERVER_ERROR else Verdict.PASS
        return verdict, (
            f"GET /execution-parameters: {answer.status}; 1 at a time, MULTI_RECORD and 6 MB count"
        )
    try:
        said = json.loads(answer.body)
    except ValueError:
        return Verdict.WARN, f"GET /execution-parameters: not JSON: {answer.said}"
    wrong = parameters_wrong(said)
    if wrong:
        return Verdict.WARN, f"GET /execution-parameters: {wrong}"
    return Verdict.PASS, f"GET /execution-parameters: {json.dumps(said)}"


def parameters_wrong(said: Any) -> str:
    """What is wrong with execution parameters; empty if nothing."""
    if not isinstance(said, dict):
        return "not a JSON object"
    clients, payload = said.get("MaxConcurrentTransforms", 1), said.get("MaxPayloadInMB", 6)
    for name, value, least in (
        ("MaxConcurrentTransforms", clients, 1),
        ("MaxPayloadInMB", payload, 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            return f"{name} is {value!r}, not a whole number from {least} on"
    if said.get("BatchStrategy", _STRATEGIES[0]) not in _STRATEGIES:
        return f"BatchStrategy is {said['BatchStrategy']!r}, not {' or '.join(_STRATEGIES)}"
    if clients * payload > _MOST_MB:
        return f"MaxConcurrentTransforms x MaxPayloadInMB is {clients * payload}, above {_MOST_MB}"
    return ""


def judge_models(steps: Sequence[ModelStep], *, labelled: bool) -> tuple[Verdict, str]:
    """The whole conversation of a multi-model endpoint."""
    wrong = [step.words for step in steps if not step.good]
    if not wrong and labelled:
        return Verdict.PASS, "; ".join(step.words for step in steps)
    if not wrong:
        return Verdict.WARN, f"the /models API works, but the label {_MULTI_MODEL_LABEL} is missing"
    if labelled:
        return Verdict.FAIL, f"the label says so, but {'; '.join(wrong)}"
    return Verdict.WARN, f"no label, and {'; '.join(wrong)}"


def _real_time(session: Session) -> RuleFinding:
    broken = spoilers(REAL_TIME, session.findings)
    if broken:
        return finding(ON_REAL_TIME, Verdict.WARN, f"not: see {', '.join(broken)}")
    session.base()
    if REAL_TIME not in fitness(session.findings).fit:
        raise CannotTry("not enough was tried to say so")
    arm = session.subject.platform is Platform.ARM64
    return finding(
        ON_REAL_TIME,
        Verdict.PASS,
        "yes, on Graviton instances (ml.c7g, ml.m8g, ...)" if arm else "yes",
    )


def _serverless(session: Session) -> RuleFinding:
    broken = spoilers(SERVERLESS, session.findings)
    tier = None if broken else _tier(session)
    if broken or tier is None:
        seen = f"not: see {', '.join(broken) or 'memory-tiers'}"
        if not broken and session.emulated:
            raise CannotTry(seen)  # QEMU's memory is in it, and its pace
        return finding(ON_SERVERLESS, Verdict.WARN, seen)
    if session.subject.platform is Platform.ARM64:
        return finding(ON_SERVERLESS, Verdict.WARN, "arm64: no page says that serverless takes it")
    verdict, seen = _all_at_once(session, tier)
    if session.emulated and verdict is not Verdict.PASS:
        raise CannotTry(session.timed(seen))  # likewise
    return finding(ON_SERVERLESS, verdict, session.timed(seen))


def _all_at_once(session: Session, tier: Tier) -> tuple[Verdict, str]:
    sample = _sample(session)
    conditions: dict[str, Any] = {
        "user": SERVERLESS_USER,
        "read_only_root": True,
        "model_dir": session.subject.model_dir,
        "memory_bytes": tier.memory_bytes,
        "cpus": min(tier.cpus or 1.0, session.where.engine.facts().cpus),
    }
    with_what = f"user {SERVERLESS_USER}, read-only, {tier.name} MB"
    try:
        within_s = SERVERLESS_START_S * session.patience
        with session.running(within_s=within_s, **conditions) as ready:
            said = f"yes, with {with_what}: ready after {format_seconds(ready.ready_s)}"
            if sample is None:
                return Verdict.PASS, f"{said} (no payload: not invoked)"
            answer = ready.invoke(sample.body, sample.content_type)
    except NeverReady as error:
        return Verdict.WARN, f"not with {with_what}: {unready_words(error)}"
    if not answer.good:
        return Verdict.WARN, f"not with {with_what}: {answer.words} {answer.said}".rstrip()
    return Verdict.PASS, f"{said}, first invocation {answer.words}"


def _tier(session: Session) -> Tier | None:
    """The smallest tier in which it runs; the SDK's default where none was to be tried."""
    if session.verdict("memory-tiers") is None:
        return SERVERLESS_TIERS[1]
    fits = [one.tier for one in trials(session) if not one.failure]
    return fits[0] if fits else None


def _batch(session: Session) -> RuleFinding:
    if session.subject.platform is Platform.ARM64:
        return finding(ON_BATCH, Verdict.WARN, "arm64: no instance for batch transform is Graviton")
    answer = session.base().get("/execution-parameters", timeout_s=_PATIENCE_S)
    verdict, seen = judge_parameters(answer)
    return finding(ON_BATCH, verdict, seen)


def _multi_model(session: Session) -> RuleFinding:
    labelled = _label(session, _MULTI_MODEL_LABEL)
    if not labelled:
        answer = answers_models(session.base())
        if not answer.good:
            seen = f"no: the label is not there, and GET /models: {answer.words}"
            return finding(ON_MULTI_MODEL, Verdict.WARN, seen)
    model = session.subject.model_dir
    mounts = () if model is None else (Mount(source=str(model), target=PLACE),)
    changes: Mapping[str, Any] = {
        "model_dir": None,
        "mounts": mounts,
        "env": {"SAGEMAKER_MULTI_MODEL": "true"},
    }
    try:
        with session.running(**changes) as ready:
            steps = converse(ready, _sample(session))
    except NeverReady as error:
        verdict = Verdict.FAIL if labelled else Verdict.WARN
        seen = f"with SAGEMAKER_MULTI_MODEL=true: {unready_words(error)}"
        return finding(ON_MULTI_MODEL, verdict, seen)
    verdict, seen = judge_models(steps, labelled=labelled)
    return finding(ON_MULTI_MODEL, verdict, seen)


def _streams(session: Session) -> RuleFinding:
    answer = session.sample().first
    chunked = "chunked" in answer.headers.get("transfer-encoding", "").lower()
    seen = "its answer comes in chunks" if chunked else "its answer comes in one piece"
    return finding(STREAMS, Verdict.PASS, seen, {"chunked": chunked})


def _both_ways(session: Session) -> RuleFinding:
    if not _label(session, _STREAM_LABEL):
        raise CannotTry("the image does not claim it (label bidirectional-streaming)")
    said = _handshake(session.base().address)
    if said.split(b" ", 2)[1:2] == [_SWITCHING]:
        return finding(BOTH_WAYS, Verdict.PASS, f"a WebSocket opens at {_STREAM_PATH}")
    first = said.split(b"\r\n", 1)[0].decode(errors="replace") or "no answer"
    return finding(BOTH_WAYS, Verdict.FAIL, f"no WebSocket opens at {_STREAM_PATH}: {first}")


def _handshake(address: tuple[str, int]) -> bytes:
    """The beginning of the answer to a WebSocket's opening."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    asked = (
        f"GET {_STREAM_PATH} HTTP/1.1\r\nHost: model.aws.local\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    try:
        with connect(address, timeout_s=_PATIENCE_S) as connection:
            connection.sendall(asked.encode())
            return connection.recv(4096)
    except OSError:
        return b""


def _label(session: Session, name: str) -> bool:
    return (session.config().get("Labels") or {}).get(name) == "true"


def _sample(session: Session) -> CheckPayload | None:
    try:
        return session.sample()
    except CannotTry:
        return None


RULES: Sequence[tuple[Rule, Callable[[Session], RuleFinding]]] = (
    (ON_REAL_TIME, _real_time),
    (ON_SERVERLESS, _serverless),
    (ON_BATCH, _batch),
    (ON_MULTI_MODEL, _multi_model),
    (STREAMS, _streams),
    (BOTH_WAYS, _both_ways),
)
