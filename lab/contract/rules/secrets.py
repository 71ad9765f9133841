"""The rules about secrets: in layers, those removed later included, and in the configuration.

What is reported is the kind of secret, the layer and the path: never the secret.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.running.session import Session, Tries
from lab.images.layers.credentials import Leak, in_command, in_variable, redacted
from lab.images.layers.saved import Saved

_SHOWN: Final = 5
_LONGEST: Final = 60


def judge_layers(image: Saved) -> tuple[Verdict, str, Sequence[Mapping[str, Any]]]:
    """What the layers give away, with where it lies."""
    found: list[tuple[Leak, Mapping[str, Any]]] = []
    for number, layer in enumerate(image.layers, 1):
        for one in layer.leaks:
            where = {
                "what": one.leak.what,
                "path": redacted(f"/{one.path}"),
                "layer": number,
                "layers": len(image.layers),
                "made_by": layer.command,
                "removed_by_layer": image.gone_in(number, one.path),
                "sure": one.leak.sure,
            }
            found.append((one.leak, where))
    places = [(leak, _place(where)) for leak, where in found]
    verdict, seen = _judged(places, nothing=f"none in {_counted(len(image.layers))}")
    return verdict, seen, [where for _, where in found]


def judge_config(env: Sequence[str], labels: Mapping[str, str], history: Sequence[str]) -> Judged:
    """What the configuration gives away. A variable is in the history too: it is told once."""
    found: list[tuple[Leak, str]] = []
    for entry in env:
        name, _, value = entry.partition("=")
        found += [(leak, f"{leak.what}: ENV {redacted(name)}") for leak in in_variable(name, value)]
    for name, value in labels.items():
        found += [
            (leak, f"{leak.what}: LABEL {redacted(name)}") for leak in in_variable(name, value)
        ]
    for number, command in enumerate(history, 1):
        if command.split(" ", 1)[0] in {"ENV", "LABEL"} or "#(nop) ENV" in command:
            continue
        found += [
            (leak, f"{leak.what}: step {number} of the build history")
            for leak in in_command(command)
        ]
    return _judged(found, nothing="none")


def _judged(found: Sequence[tuple[Leak, str]], *, nothing: str) -> Judged:
    if not found:
        return Verdict.PASS, nothing
    ordered = sorted(found, key=lambda pair: not pair[0].sure)
    words = [words for _, words in ordered[:_SHOWN]]
    if len(found) > _SHOWN:
        words.append(f"and {len(found) - _SHOWN} more")
    verdict = Verdict.FAIL if ordered[0][0].sure else Verdict.WARN
    return verdict, "; ".join(words)


def _counted(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"


def _place(where: Mapping[str, Any]) -> str:
    made = where["made_by"]
    short = f"{made[:_LONGEST]}…" if len(made) > _LONGEST else made
    said = f"{where['what']}: {where['path']} in layer {where['layer']} of {where['layers']}"
    gone = where["removed_by_layer"]
    still = f", removed by layer {gone} and still there" if gone else ""
    return f"{said} ({short}){still}"


def _in_config(session: Session) -> Tried:
    config = session.config()
    history = session.saved().history
    return judge_config(config.get("Env") or (), config.get("Labels") or {}, history)


TRIES: Tries = {
    "secrets-layers": lambda session: judge_layers(session.saved()),
    "secrets-config": _in_config,
}
