"""Stateful sessions: which instance holds what a container remembers of a conversation.

A container opens one in answer to ``NEW_SESSION`` and closes it; in between, and until it expires,
calls with its id go to that instance and no other. A session is an instance's memory: it ends with
the instance, however that ends. SageMaker's sentences for an id that it does not know are not
published; those here are the lab's. The emulator forgets all sessions when it ends.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lab.endpoint.clock import Clock
from lab.endpoint.live import LiveEndpoint, LiveVariant
from lab.endpoint.protocol.errors import ApiError, validation_error
from lab.endpoint.records import EndpointKind

_LOG = logging.getLogger(__name__)

NEW: Final = "NEW_SESSION"
_NEW_ID: Final = "x-amzn-sagemaker-new-session-id"
_OPENED_BY: Final = (_NEW_ID, "x-amzn-sagemaker-session-id")
"""The first is what the API returns and what most containers set; the developer guide tells them to
set the second."""
_CLOSED_BY: Final = "x-amzn-sagemaker-closed-session-id"
_RETURNED: Final = "X-Amzn-SageMaker-New-Session-Id"

_FORM: Final = re.compile(
    r"(?P<id>[a-zA-Z0-9](?:-*[a-zA-Z0-9])*);\s"
    r"Expires=(?P<expires>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)"
)
"""The service model's pattern of ``NewSessionId``."""
_LONGEST: Final = 256
_UNKNOWN: Final = (
    "is not known: no container has opened it in answer to NEW_SESSION since the emulator started"
)
_MOST: Final = 10_000
"""Sessions that are remembered, ended ones among them, so that a late call is told why."""


@dataclass(kw_only=True, slots=True)
class Session:
    """A conversation with one instance."""

    id: str
    variant: str
    server: str
    """The instance's id."""
    expires_at: float
    """Seconds since the epoch."""
    ended: str | None = None
    """Why it is no more, as the rest of a sentence."""


class Sessions:
    """All that were opened in this life of the emulator."""

    def __init__(self, clock: Clock, *, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._known: dict[tuple[str, str], Session] = {}
        """By endpoint and id; the oldest first."""

    def find(
        self, live: LiveEndpoint, session_id: str | None, target: str | None
    ) -> Session | None:
        """The session that a call belongs to; None if to none. Raises ``ValidationError``."""
        if session_id is None:
            return None
        if live.kind is EndpointKind.SERVERLESS:
            raise validation_error(
                f"SessionId needs an endpoint with instances: the lab keeps no sessions on "
                f"{live.name}, whose containers come and go with its requests (serverless)."
            )
        if session_id == NEW:
            return None
        session = self._known.get((live.name, session_id))
        if session is None:
            raise refused(live.name, session_id, _UNKNOWN)
        if session.ended is None and session.expires_at <= self._clock.time():
            session.ended = f"expired at {_as_text(session.expires_at)}"
        if session.ended is not None:
            raise refused(live.name, session_id, session.ended)
        if target not in {None, session.variant}:
            raise refused(
                live.name, session_id, f"is one of variant {session.variant}, not {target}"
            )
        return session

    def heard(
        self,
        live: LiveEndpoint,
        variant: LiveVariant,
        server: str,
        *,
        asked: str | None,
        answer: Mapping[str, str],
    ) -> Mapping[str, str]:
        """Open or close what a container's success says; the headers that this adds to ours.

        ``asked`` is the call's ``SessionId``; the names in ``answer`` are in lower case.
        """
        closed = answer.get(_CLOSED_BY, "").partition(";")[0].strip()
        session = self._known.get((live.name, closed))
        if session is not None and session.server == server and session.ended is None:
            session.ended = "was closed"
        if asked != NEW:
            return {}
        said = next((answer[name] for name in _OPENED_BY if name in answer), None)
        if said is None:
            return {}
        self._open(live.name, variant.name, server, said)
        return {_RETURNED: said}

    def _open(self, endpoint: str, variant: str, server: str, said: str) -> None:
        form = _FORM.fullmatch(said) if len(said) <= _LONGEST else None
        ended, expires_at = None, 0.0
        try:
            if form is not None:
                expires_at = datetime.fromisoformat(form["expires"]).timestamp()
        except ValueError:  # 2026-02-30
            form = None
        if form is None:
            ended = (
                f'was never opened: its container answered "{said[:_LONGEST]}", and not '
                '"ID; Expires=YYYY-MM-DDTHH:MM:SSZ"'
            )
            _LOG.warning("A session of endpoint %s %s (instance %s).", endpoint, ended, server)
        session_id = said.partition(";")[0].strip() if form is None else form["id"]
        key = (endpoint, session_id)
        before = self._known.get(key)
        alive = before is not None and before.ended is None
        if alive and form is None:
            return
        if before is not None and alive and before.server != server:
            _LOG.warning(
                "Session %s of endpoint %s was opened at %s and now again at %s, which has it from "
                "here on: session ids must be unique.",
                *(session_id, endpoint, before.server, server),
            )
        self._known.pop(key, None)
        while len(self._known) >= self._most:
            self._forget_one()
        self._known[key] = Session(
            id=session_id, variant=variant, server=server, expires_at=expires_at, ended=ended
        )

    def _forget_one(self) -> None:
        """One that has ended, if there is one; else the oldest."""
        now = self._clock.time()
        over = (key for key, one in self._known.items() if one.ended or one.expires_at <= now)
        del self._known[next(over, next(iter(self._known)))]


def refused(endpoint: str, session_id: str, why: str) -> ApiError:
    """For an id that leads nowhere; HTTP 400, as SageMaker is said to answer."""
    return validation_error(
        f"Session {session_id} of endpoint {endpoint} {why}. Open another with SessionId {NEW}. "
        "(These words are the lab's.)"
    )


def _as_text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
