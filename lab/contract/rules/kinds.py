"""What the image can be used for: each kind of endpoint asked for, and what it lacks for it.

To lack something is no fault, so these warn; only a label that promises too much fails.
"""

import base64
import json
import secrets
from collections.abc import Sequence
from typing import Any, Final

from lab.contract.fitness import (
    ASYNCHRONOUS,
    BATCH,
    MULTI_MODEL,
    REAL_TIME,
    SERVERLESS,
    body_words,
    limit_of,
    spoilers,
    untried,
)
from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.rules.memory import trials
from lab.contract.rules.start import SERVERLESS_START_S, unready_words
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CannotTry
from lab.contract.running.multimodel import PLACE, ModelStep, converse
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries
from lab.endpoint.runtime.wording import PRIMARY, long_head, no_length
from lab.endpoint.transport import ASYNC_HEAD_BYTES
from lab.engine.api import Mount
from lab.spec import SERVERLESS_TIERS, SERVERLESS_USER, Platform, Tier
from lab.units import format_seconds
from lab.wire import connect

MULTI_MODEL_LABEL: Final = "com.amazonaws.sagemaker.capabilities.multi-models"
STREAM_LABEL: Final = "com.amazonaws.sagemaker.capabilities.bidirectional-streaming"
STREAM_PATH: Final = "/invocations-bidirectional-stream"
_SWITCHING: Final = b"101"
_STRATEGIES: Final = ("MULTI_RECORD", "SINGLE_RECORD")
_MOST_MB: Final = 100
_MEND: Final = "Mend the rules that are named; they say how."
_SIZED: Final = (
    "Answer with a whole body and its Content-Length: no streaming response where nothing is "
    "streamed, no middleware that compresses as it goes, no server of HTTP/1.0 that ends by "
    "closing."
)
_SHORT: Final = "Leave out of the answer's headers what is no header: debugging, the result itself."
_PATIENCE_S: Final = 10.0


def judge_parameters(answer: HttpCall) -> Judged:
    """What ``GET /execution-parameters`` was answered with."""
    asked = "GET /execution-parameters"
    if answer.status is None:
        return Verdict.WARN, f"{asked}: {answer.words}"
    if answer.status != 200:
        verdict = Verdict.WARN if answer.status >= 500 else Verdict.PASS
        return verdict, f"{asked}: {answer.status}; 1 at a time, MULTI_RECORD and 6 MB count"
    try:
        said = json.loads(answer.body)
    except ValueError:
        return Verdict.WARN, f"{asked}: not JSON: {answer.said}"
    wrong = parameters_wrong(said)
    return Verdict.WARN if wrong else Verdict.PASS, f"{asked}: {wrong or json.dumps(said)}"


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


def judge_result(answer: HttpCall) -> Told:
    """Whether an answer can be a result in S3."""
    if "content-length" not in answer.headers:
        said, change = no_length(PRIMARY), _SIZED
    elif answer.head_bytes > ASYNC_HEAD_BYTES:
        said, change = long_head(PRIMARY, ASYNC_HEAD_BYTES), _SHORT
    else:
        return Told(verdict=Verdict.PASS, seen="yes")
    return Told(verdict=Verdict.WARN, seen=f"not: {said.rstrip('.')}", change=change)


def judge_models(steps: Sequence[ModelStep], *, labelled: bool) -> Judged:
    """The whole conversation of a multi-model endpoint."""
    wrong = [step.words for step in steps if not step.good]
    if not wrong and labelled:
        return Verdict.PASS, "; ".join(step.words for step in steps)
    if not wrong:
        return Verdict.WARN, f"the /models API works, but the label {MULTI_MODEL_LABEL} is missing"
    if labelled:
        return Verdict.FAIL, f"the label says so, but {'; '.join(wrong)}"
    return Verdict.WARN, f"no label, and {'; '.join(wrong)}"


def _not(broken: Sequence[str]) -> Told:
    return Told(verdict=Verdict.WARN, seen=f"not: see {', '.join(broken)}", change=_MEND)


def _lacks(session: Session, kind: str) -> Told | None:
    """The verdict of a kind that the findings so far rule out, as the last line says it, too.

    Raises ``CannotTry`` when what must be known of it was not tried.
    """
    broken = spoilers(kind, session.findings)
    if broken:
        return _not(broken)
    session.base()
    missing = untried(kind, session.findings)
    if missing:
        raise CannotTry(f"not enough was tried to say so: {', '.join(missing)}")
    return None


def _up_to(session: Session, kind: str) -> str:
    """For bodies of which size, where that is not for all that it passes on."""
    limit = limit_of(kind, session.findings)
    return "" if limit is None else f", for bodies of up to {body_words(limit)}"


def _real_time(session: Session) -> Tried:
    lacking = _lacks(session, REAL_TIME)
    if lacking is not None:
        return lacking
    arm = session.subject.platform is Platform.ARM64
    yes = "yes, on Graviton instances (ml.c7g, ml.m8g, ...)" if arm else "yes"
    return Verdict.PASS, yes + _up_to(session, REAL_TIME)


def _serverless(session: Session) -> Tried:
    lacking = _lacks(session, SERVERLESS)
    if lacking is not None:
        return lacking
    tier = _tier(session)
    if tier is None:
        if session.emulated:
            raise CannotTry("not: see memory-tiers")  # QEMU's memory is in it, and its pace
        return _not(["memory-tiers"])
    if session.subject.platform is Platform.ARM64:
        return Verdict.WARN, "arm64: no page says that serverless takes it"
    verdict, seen = _all_at_once(session, tier)
    if session.emulated and verdict is not Verdict.PASS:
        raise CannotTry(session.timed(seen))  # likewise
    if verdict is Verdict.PASS:
        seen += _up_to(session, SERVERLESS)
    return verdict, session.timed(seen)


def _all_at_once(session: Session, tier: Tier) -> Judged:
    sample = session.sample_if_any()
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
                return Verdict.PASS, f"{said}{session.unasked}"
            answer = ready.predict(sample)
    except NeverReady as error:
        return Verdict.WARN, f"not with {with_what}: {unready_words(error)}"
    if not answer.good:
        return Verdict.WARN, f"not with {with_what}: {answer.words_and_body}"
    return Verdict.PASS, f"{said}, first invocation {answer.words}"


def _tier(session: Session) -> Tier | None:
    """The smallest tier in which it runs; the SDK's default where none was to be tried."""
    if session.verdict("memory-tiers") is None:
        return SERVERLESS_TIERS[1]
    return next((one.tier for one in trials(session) if not one.failure), None)


def _asynchronous(session: Session) -> Tried:
    told = judge_result(session.sample().answer)
    if told.verdict is not Verdict.PASS:
        return told
    lacking = _lacks(session, ASYNCHRONOUS)
    if lacking is not None:
        return lacking
    return told.verdict, told.seen + _up_to(session, ASYNCHRONOUS)


def _batch(session: Session) -> Tried:
    if session.subject.platform is Platform.ARM64:
        return Verdict.WARN, "arm64: no instance for batch transform is Graviton"
    lacking = _lacks(session, BATCH)
    if lacking is not None:
        return lacking
    answer = session.base().get("/execution-parameters", timeout_s=_PATIENCE_S)
    verdict, seen = judge_parameters(answer)
    return verdict, seen + (_up_to(session, BATCH) if verdict is Verdict.PASS else "")


def _multi_model(session: Session) -> Tried:
    broken = spoilers(MULTI_MODEL, session.findings)
    if broken:
        return _not(broken)
    labelled = session.claims(MULTI_MODEL_LABEL)
    if not labelled:
        # SageMaker polls it beside /ping.
        answer = session.base().get("/models", timeout_s=_PATIENCE_S)
        if not answer.good:
            return Verdict.WARN, f"no: the label is not there, and GET /models: {answer.words}"
    model = session.subject.model_dir
    mounts = () if model is None else (Mount(source=str(model), target=PLACE),)
    env = {"SAGEMAKER_MULTI_MODEL": "true"}
    try:
        with session.running(model_dir=None, mounts=mounts, env=env) as ready:
            steps = converse(ready, session.sample_if_any())
    except NeverReady as error:
        verdict = Verdict.FAIL if labelled else Verdict.WARN
        return verdict, f"with SAGEMAKER_MULTI_MODEL=true: {unready_words(error)}"
    return judge_models(steps, labelled=labelled)


def _streams(session: Session) -> Tried:
    answer = session.sample().answer
    chunked = "chunked" in answer.headers.get("transfer-encoding", "").lower()
    seen = "its answer comes in chunks" if chunked else "its answer comes in one piece"
    return Verdict.PASS, seen, {"chunked": chunked}


def _both_ways(session: Session) -> Tried:
    if not session.claims(STREAM_LABEL):
        raise CannotTry("the image does not claim it (label bidirectional-streaming)")
    said = _handshake(session.base().address)
    if said.split(b" ", 2)[1:2] == [_SWITCHING]:
        return Verdict.PASS, f"a WebSocket opens at {STREAM_PATH}"
    first = said.split(b"\r\n", 1)[0].decode(errors="replace") or "no answer"
    return Verdict.FAIL, f"no WebSocket opens at {STREAM_PATH}: {first}"


def _handshake(address: tuple[str, int]) -> bytes:
    """The beginning of the answer to a WebSocket's opening."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    asked = (
        f"GET {STREAM_PATH} HTTP/1.1\r\nHost: model.aws.local\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    try:
        with connect(address, timeout_s=_PATIENCE_S) as connection:
            connection.sendall(asked.encode())
            return connection.recv(4096)
    except OSError:
        return b""


TRIES: Tries = {
    "kind-real-time": _real_time,
    "kind-serverless": _serverless,
    "kind-asynchronous": _asynchronous,
    "kind-batch": _batch,
    "kind-multi-model": _multi_model,
    "kind-streaming": _streams,
    "kind-bidirectional": _both_ways,
}
