"""In what two answers to the same request differ, for a program that sorts by it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.aws.recorder.pairs import Answered, without_model

_CHANGING: Final = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"<hidden: \d+ characters>"), "<hidden>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?"), "<time>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<number>"),
)
_OF_TRANSPORT: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "server",
        "transfer-encoding",
        "keep-alive",
        "x-amzn-requestid",
        "vary",
        "strict-transport-security",
        "x-content-type-options",
        "cache-control",
        "x-lab-note",
    }
)
"""Headers of whatever carries the answer, different every time, or what only the lab says."""
_WITH_MODEL: Final = frozenset({"x-amzn-sagemaker-custom-attributes"})
"""Headers whose value is the model's affair."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing in which the second answer is not as the first."""

    what: str
    """``status``, ``code``, ``message``, ``headers``, ``members``, ``order``."""
    recorded: str
    replayed: str


def differences(recorded: Answered, replayed: Answered) -> Sequence[Difference]:
    """Nothing where a program could not tell one from the other."""
    return list(_differences(recorded, replayed))


def _differences(recorded: Answered, replayed: Answered) -> Iterator[Difference]:
    if recorded.status != replayed.status:
        yield Difference(
            what="status", recorded=str(recorded.status), replayed=str(replayed.status)
        )
    if code(recorded) != code(replayed):
        yield Difference(what="code", recorded=code(recorded), replayed=code(replayed))
    if form(message(recorded)) != form(message(replayed)):
        yield Difference(what="message", recorded=message(recorded), replayed=message(replayed))
    yield from _headers(recorded, replayed)
    yield from _members(recorded, replayed)
    if list(recorded.events) != list(replayed.events):
        yield Difference(
            what="order", recorded=" ".join(recorded.events), replayed=" ".join(replayed.events)
        )
    if recorded.whole != replayed.whole:
        words = {True: "whole", False: "broken off"}
        yield Difference(
            what="order", recorded=words[recorded.whole], replayed=words[replayed.whole]
        )


def code(answer: Answered) -> str:
    """AWS's name of an error, without what clients cut off; empty for a success."""
    if answer.status < 400:
        return ""
    members = answer.body.members if isinstance(answer.body.members, Mapping) else {}
    said = _header(answer, "x-amzn-errortype") or members.get("__type") or members.get("code") or ""
    return str(said).rpartition("#")[2].partition(":")[0]


def message(answer: Answered) -> str:
    """An error's words; empty for a success."""
    members = answer.body.members
    if answer.status < 400 or not isinstance(members, Mapping):
        return ""
    return str(members.get("message") or members.get("Message") or "")


def form(text: str) -> str:
    """A message without what is different in every run, and without a model's own words."""
    text = without_model(text)
    for pattern, instead in _CHANGING:
        text = pattern.sub(instead, text)
    return text


def _header(answer: Answered, name: str) -> str | None:
    return next((value for key, value in answer.headers if key.lower() == name), None)


def _headers(recorded: Answered, replayed: Answered) -> Iterator[Difference]:
    before, after = (_told(answer) for answer in (recorded, replayed))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Difference(
                what="headers",
                recorded=_shown(name, before.get(name)),
                replayed=_shown(name, after.get(name)),
            )


def _told(answer: Answered) -> Mapping[str, str]:
    found = {}
    for name, value in answer.headers:
        lower = name.lower()
        if lower not in _OF_TRANSPORT:
            found[lower] = "" if lower in _WITH_MODEL else form(value)
    return found


def _shown(name: str, value: str | None) -> str:
    return f"no {name}" if value is None else f"{name}: {value}"


def _members(recorded: Answered, replayed: Answered) -> Iterator[Difference]:
    if recorded.status >= 400 or replayed.status >= 400:
        return  # their code and their message were compared
    before, after = (dict(_paths(answer.body.members)) for answer in (recorded, replayed))
    missing = sorted(before.keys() - after.keys())
    added = sorted(after.keys() - before.keys())
    if missing or added:
        yield Difference(
            what="members",
            recorded=", ".join(missing) or "no more",
            replayed=", ".join(added) or "no more",
        )
    for path in sorted(before.keys() & after.keys()):
        if before[path] != after[path]:
            yield Difference(
                what="members",
                recorded=f"{path} is {before[path]}",
                replayed=f"{path} is {after[path]}",
            )
    first, second = (_names(answer.body.members) for answer in (recorded, replayed))
    if first != second and sorted(first) == sorted(second):
        yield Difference(what="order", recorded=" ".join(first), replayed=" ".join(second))


def _paths(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each member and its type; entries of a list are one."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            here = f"{path}.{name}" if path else str(name)
            yield here, _type(each)
            # The names in these are the user's own.
            if name != "Environment":
                yield from _paths(each, here)
    elif isinstance(value, list):
        for each in value:
            yield from _paths(each, f"{path}[]")


def _type(value: Any) -> str:
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case Mapping():
            return "a structure"
        case _:
            return "null"


def _names(members: Any) -> list[str]:
    """Of a listing: the names in it, in their order."""
    if not isinstance(members, Mapping):
        return []
    return [
        str(each[name])
        for rows in members.values()
        if isinstance(rows, list)
        for each in rows
        if isinstance(each, Mapping)
        for name in each
        if name.endswith("Name")
    ]
