"""The rules about the image's configuration: what starts, as whom, on which port.

They tell the cause; whether it does harm is tried on the running container (``serve``,
``sigterm-arrives``, ``port``), so none of them fails.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.rules.start import BIND_LABEL, Blame, blame
from lab.contract.running.container import CannotTry
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries
from lab.images.layers.credentials import redacted_words
from lab.spec import PORT

_SHELLS: Final = ("sh", "bash", "dash", "ash", "zsh")
_INITS: Final = ("tini", "dumb-init", "docker-init", "catatonit")
_ROOT: Final = ("", "0", "root")
_LONGEST: Final = 80


def judge_entry(
    entry: Sequence[str], command: Sequence[str], *, serves: bool | None = None
) -> Judged:
    """Entrypoint and Cmd as the image has them; ``serves``: whether a program ``serve`` is there.

    None: nobody looked.
    """
    if not entry and serves:
        return Verdict.PASS, "none: SageMaker executes the program `serve`, which is on the PATH"
    if not entry:
        instead = f", which replaces CMD {_line(command)}" if command else ""
        return Verdict.WARN, f"there is none: the container executes `serve` itself{instead}"
    name = PurePosixPath(entry[0]).name
    if name in _SHELLS and entry[1:2] == ["-c"] and " ".join(entry[2:3]).startswith("exec "):
        return Verdict.PASS, f"{_line(entry)}: the shell replaces itself; `serve` is not passed on"
    if name in _SHELLS and "-c" in entry[1:3]:
        return Verdict.WARN, (
            f"shell form: {_line(entry)}; the argument `serve` is lost, and so is SIGTERM unless "
            "the shell replaces itself"
        )
    if name in _INITS:
        return Verdict.WARN, f"{name} is process 1: {_line(entry)}"
    return Verdict.PASS, _line(entry)


def judge_user(user: str) -> Judged:
    """The image's USER."""
    if user.partition(":")[0] in _ROOT:
        return Verdict.PASS, "root"
    return Verdict.WARN, f"USER {user}: on instances files that SageMaker mounts belong to root"


def judge_exposed(ports: Sequence[str], *, told: bool) -> Judged:
    """The image's EXPOSE; ``told``: whether its label says that it listens where it is told."""
    aside = "; it also listens where SAGEMAKER_BIND_TO_PORT says" if told else ""
    if f"{PORT}/tcp" in ports:
        return Verdict.PASS, f"EXPOSE {PORT}{aside}"
    if ports:
        return Verdict.WARN, f"EXPOSE {', '.join(sorted(ports))}, but not {PORT}{aside}"
    return Verdict.PASS, f"nothing is exposed, which does no harm{aside}"


def _line(words: Sequence[str]) -> str:
    line = redacted_words(words)
    return f"`{line[:_LONGEST]}`" + ("…" if len(line) > _LONGEST else "")


def _entry(session: Session) -> Tried:
    config = session.config()
    entry, command = config.get("Entrypoint") or (), config.get("Cmd") or ()
    return judge_entry(entry, command, serves=None if entry else _has_serve(session))


def _has_serve(session: Session) -> bool | None:
    """Whether a program of that name was started."""
    try:
        session.start_base()
    except CannotTry:
        return None
    except NeverReady as error:
        return None if blame(error.seen) is Blame.ENGINE else '"serve"' not in str(error)
    return True


def _exposed(session: Session) -> Tried:
    ports = list(session.config().get("ExposedPorts") or ())
    return judge_exposed(ports, told=session.claims(BIND_LABEL))


TRIES: Tries = {
    "entry-point": _entry,
    "user": lambda session: judge_user(str(session.config().get("User") or "")),
    "exposed-port": _exposed,
}
