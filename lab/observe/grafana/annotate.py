"""Annotations in Grafana: a bench is a span from its first start to its last.

Only benches are sent. What Prometheus knows anyway (a cold start, a change of an endpoint's state)
the boards ask it for: that needs no password in the emulator, loses nothing while Grafana is down,
comes back with a replay, and is drawn without Grafana too.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.errors import EndpointError
from lab.observe.grafana.secret import NAME
from lab.observe.names import Tag
from lab.observe.runs.push import answers
from lab.paths import state
from lab.progress import Progress
from lab.services import SERVICES

URL: Final = "LAB_GRAFANA_URL"
TOKEN: Final = "LAB_GRAFANA_TOKEN"  # noqa: S105 - the variable's name
_ADMIN: Final = "admin"
_TIMEOUTS: Final = (0.5, 3.0)
"""To connect, to answer."""

Credential = str | tuple[str, str]


def address(env: Mapping[str, str] = os.environ) -> str:
    """Where Grafana should be: as ``LAB_GRAFANA_URL`` says, else on this machine."""
    return (env.get(URL) or SERVICES["grafana"].address(env)).rstrip("/")


def credential(
    env: Mapping[str, str] = os.environ, *, folder: Path | None = None
) -> Credential | None:
    """``LAB_GRAFANA_TOKEN``, else the password that the stack made; None where there is neither.

    The password is for the stack's own Grafana: it is sent to no other address.
    """
    if env.get(TOKEN):
        return env[TOKEN]
    if env.get(URL):
        return None
    try:
        said = ((folder or state() / "secrets") / NAME).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return (_ADMIN, said) if said else None


@dataclass(frozen=True, kw_only=True)
class GrafanaAnnotation:
    """A moment, or a span once it has an end. Seconds since the epoch."""

    text: str
    tags: Sequence[Tag | str]
    begin: float
    end: float | None = None


class Annotator:
    """Grafana's annotations, by its official HTTP interface."""

    def __init__(self, url: str, secret: Credential) -> None:
        # It takes 0.2 s to import, and most of what the lab does needs no Grafana.
        from grafana_client import GrafanaApi

        self.url = url
        self._api: Any = GrafanaApi.from_url(f"{url}/", credential=secret, timeout=_TIMEOUTS)
        # Neither a proxy nor a .netrc has a say in what goes to this machine's own Grafana.
        self._api.client.s.trust_env = False

    def add(self, annotation: GrafanaAnnotation) -> int:
        """Write one; its number. Raises ``EndpointError``."""
        with self._said():
            answer = self._api.annotations.add_annotation(**_times(annotation), **_body(annotation))
            return int(answer["id"])

    def change(self, number: int, annotation: GrafanaAnnotation) -> None:
        """Replace one. Raises ``EndpointError``."""
        with self._said():
            self._api.annotations.partial_update_annotation(
                number, **_times(annotation), **_body(annotation)
            )

    @contextmanager
    def _said(self) -> Iterator[None]:
        from grafana_client.client import GrafanaException
        from requests import RequestException

        try:
            yield
        except (GrafanaException, RequestException, KeyError, TypeError, ValueError) as error:
            raise EndpointError(
                f"Grafana at {self.url} did not take the annotation: {error}",
                remedy=f"Annotations need its administrator's password, or {TOKEN}.",
            ) from error


def find(env: Mapping[str, str] = os.environ) -> Annotator | None:
    """A Grafana that answers and may be written to: known at once, or after half a second."""
    url = address(env)
    if not answers(url):
        return None
    secret = credential(env)
    return None if secret is None else Annotator(url, secret)


@contextmanager
def bench(
    run: str, plan: str, progress: Progress, *, env: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Annotate what is done inside as a bench: at its start, and again at its end, however it ends.

    Never raises on its own account, and says so once when Grafana refuses.
    """
    begun = GrafanaAnnotation(
        text=f"Bench {plan} begins: {run}", tags=(Tag.LAB, Tag.BENCH, plan), begin=time.time()
    )
    where, number = find(env), None
    if where is not None:
        try:
            number = where.add(begun)
        except EndpointError as error:
            progress.note(f"Not annotated: {error}")
    how = "stopped"
    try:
        yield
        how = "ended"
    finally:
        if where is not None and number is not None:
            ended = GrafanaAnnotation(
                text=f"Bench {plan} {how}: {run}",
                tags=begun.tags,
                begin=begun.begin,
                end=time.time(),
            )
            with suppress(EndpointError):
                where.change(number, ended)


def _times(annotation: GrafanaAnnotation) -> dict[str, int | None]:
    end = annotation.end
    return {
        "time_from": int(annotation.begin * 1000),
        "time_to": None if end is None else int(end * 1000),
    }


def _body(annotation: GrafanaAnnotation) -> dict[str, Any]:
    return {"text": annotation.text, "tags": [str(tag) for tag in annotation.tags]}
