"""The rules about the image as a whole: its platform, its size, its layers, its ballast."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.running.container import CannotTry
from lab.contract.running.session import Session, Tries
from lab.endpoint.instances import InstanceType, table
from lab.images.layers.leftovers import Leftover, leftovers
from lab.images.layers.saved import MACHINES, MODEL_PLACE, Saved, SavedLayer
from lab.spec import Platform
from lab.units import format_bytes

SIZE_LIMIT: Final = 10_737_418_240
"""As serverless says it: `Image size N is greater than supported size 10737418240`."""

_CLOSE_CALL: Final = 0.8
_MANY_LAYERS: Final = 100
_NEGLIGIBLE: Final = 10_000_000
_SHOWN: Final = 4
_WORTH_A_WORD: Final = 0.05
"""Of all that is left, so much is named."""
_LONGEST: Final = 60


def judge_instance(declared: Platform, instance: InstanceType) -> Judged:
    """Whether an instance has the processor that the image is for."""
    if declared is instance.platform:
        return Verdict.PASS, f"{declared}, and {instance.name} is {instance.processor}"
    return Verdict.FAIL, (
        f"{declared}, but {instance.name} is {instance.processor}: "
        f"build it with --platform {instance.platform}"
    )


def judge_platform(
    declared: Platform,
    programs: Mapping[str, int],
    entry: str,
    *,
    instance: InstanceType | None = None,
) -> Judged:
    """What an image says it is for, and what its programs are for.

    ``programs``: path to ELF's number of the processor; ``entry``: the entry point's path;
    ``instance``: where it is to run, if that is known.
    """
    kinds = Counter(MACHINES.get(number, f"number {number}") for number in programs.values())
    own = programs.get(entry.lstrip("/"))
    if own is not None and MACHINES.get(own) != declared.arch:
        name = MACHINES.get(own, f"processor number {own}")
        return Verdict.FAIL, f"declared {declared}, but the entry point {entry} is for {name}"
    if kinds and kinds.most_common(1)[0][0] != declared.arch:
        most, count = kinds.most_common(1)[0]
        return Verdict.FAIL, (
            f"declared {declared}, but {count} of {len(programs)} programs are for {most}"
        )
    if declared is Platform.ARM64 and (instance is None or instance.platform is not declared):
        return Verdict.WARN, (
            f"{declared}: real time on Graviton instances only, no batch; "
            "serverless: not documented, taken as no"
        )
    return Verdict.PASS, f"{declared}, and so are its programs" if kinds else str(declared)


def judge_size(unpacked: int) -> Judged:
    """The sum of the layers, unpacked."""
    said = f"{format_bytes(unpacked)} unpacked"
    if unpacked > SIZE_LIMIT:
        return Verdict.FAIL, f"{said}, {format_bytes(unpacked - SIZE_LIMIT)} too much"
    if unpacked > SIZE_LIMIT * _CLOSE_CALL:
        return Verdict.WARN, f"{said}, close to the limit"
    return Verdict.PASS, said


def judge_layers(count: int) -> Judged:
    """How many there are."""
    verdict = Verdict.WARN if count > _MANY_LAYERS else Verdict.PASS
    return verdict, f"{count} layer{'' if count == 1 else 's'}"


def judge_leftovers(image: Saved) -> Told:
    """What was left behind, in whichever layer: where, by which command, and how to keep it out."""
    found = leftovers(image)
    total = sum(one.size for one in found)
    data = [_left(one) for one in found]
    if total < _NEGLIGIBLE:
        said = format_bytes(total) if total else "none"
        return Told(verdict=Verdict.PASS, seen=said, data=data)
    shown = [one for one in found if one.size >= total * _WORTH_A_WORD][:_SHOWN]
    by_layer: dict[int, list[Leftover]] = {}
    for one in shown:
        by_layer.setdefault(one.layer, []).append(one)
    places = [
        f"layer {number}, `{_short(of[0].command)}`: {', '.join(map(_place, of))}"
        for number, of in sorted(by_layer.items())
    ]
    rest = total - sum(one.size for one in shown)
    more = [f"elsewhere {format_bytes(rest)}"] if rest else []
    changes = dict.fromkeys(one.change for one in shown)
    advice = "; ".join(changes)
    return Told(
        verdict=Verdict.WARN,
        seen=f"{format_bytes(total)}: {'; '.join([*places, *more])}",
        data=data,
        change=f"{advice[0].upper()}{advice[1:]}.",
    )


def _place(one: Leftover) -> str:
    gone = (
        "" if one.gone_in is None else f", removed in layer {one.gone_in} and pulled all the same"
    )
    return f"{one.folder} {format_bytes(one.size)} ({one.kind.name}{gone})"


def _left(one: Leftover) -> Mapping[str, Any]:
    return {
        "what": one.kind.name,
        "path": one.folder,
        "bytes": one.size,
        "layer": one.layer,
        "made_by": one.command,
        "removed_by_layer": one.gone_in,
        "change": one.change,
    }


def _short(command: str) -> str:
    return command if len(command) <= _LONGEST else f"{command[: _LONGEST - 1]}…"


def judge_model_data(image: Saved) -> Judged:
    """A model in the image, where the mount hides it or elsewhere."""
    hidden = sum(layer.under_mount for layer in image.layers)
    if hidden:
        return Verdict.WARN, f"{format_bytes(hidden)} in /{MODEL_PLACE}, hidden by the mount"
    baked = [one for layer in image.layers for one in layer.models]
    if not baked:
        return Verdict.PASS, "no model in the image"
    path, size = max(baked, key=lambda one: one[1])
    return Verdict.WARN, f"baked in: {len(baked)}, the largest /{path} of {format_bytes(size)}"


def programs_of(image: Saved) -> Mapping[str, int]:
    """The programs of an image's last state, as far as they were not removed."""
    found: dict[str, int] = {}
    for layer in image.layers:
        _take_away(found, layer)
        found |= layer.executables
    return found


def _take_away(found: dict[str, int], layer: SavedLayer) -> None:
    gone = tuple(f"{path}/" for path in (*layer.removed, *layer.emptied))
    for path in [one for one in found if one in layer.removed or (gone and one.startswith(gone))]:
        del found[path]


def _platform(session: Session) -> Tried:
    config = session.config()
    command = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    declared = session.subject.platform
    try:
        programs = programs_of(session.saved())
    except CannotTry:
        programs = {}  # what it declares can be judged all the same
    entry = str(command[0]) if command else ""
    judged = judge_platform(declared, programs, entry, instance=_wanted(session))
    return *judged, {"declared": declared.value}


def _instance(session: Session) -> Tried:
    """Nothing where no instance type was named."""
    wanted = _wanted(session)
    if wanted is None:
        return None
    data = {"instance_type": wanted.name, "architecture": wanted.architecture}
    return *judge_instance(session.subject.platform, wanted), data


def _wanted(session: Session) -> InstanceType | None:
    return table().get(session.subject.instance_type or "")


def _size(session: Session) -> Tried:
    unpacked = session.where.engine.image(session.subject.image).unpacked_bytes
    return *judge_size(unpacked), {"bytes": unpacked, "limit": SIZE_LIMIT}


def _layers(session: Session) -> Tried:
    count = len((session.inspected().get("RootFS") or {}).get("Layers") or ())
    return *judge_layers(count), {"layers": count}


TRIES: Tries = {
    "platform": _platform,
    "instance-type": _instance,
    "image-size": _size,
    "layers": _layers,
    "leftovers": lambda session: judge_leftovers(session.saved()),
    "model-data": lambda session: judge_model_data(session.saved()),
}
