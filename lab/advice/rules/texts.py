"""Files for people and for testers: tests, documentation, locales."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from lab.advice.rules.image import Image, where
from lab.advice.rules.model import AdviceKind, Confidence, Found
from lab.advice.rules.patches import ended_by
from lab.advice.rules.words import listing
from lab.report.words import plural
from lab.units import format_bytes

_LICENCE: Final = re.compile(
    r".*/(?:copyright|[^/]*(?:LICEN[CS]E|NOTICE|COPYING|AUTHORS)[^/]*)", re.IGNORECASE
)
_WORTH_ANOTHER_BASE: Final = 5_000_000
_R: Final = r"/(?:.*/)?(?:site-library|R/library)/[^/]+"


@dataclass(frozen=True, kw_only=True)
class _ForPeople:
    kind: AdviceKind
    place: re.Pattern[str]
    """Group 1 is the folder to name."""
    what: str
    todo: str
    """A command that takes ``{roots}``."""
    risk: str = ""


_KINDS: Final = (
    _ForPeople(
        kind=AdviceKind.TESTS,
        place=re.compile(
            r"(/.*/(?:site|dist)-packages/[^/]+)/(?:.*/)?tests?/.*"
            r"|(/.*/lib/python[\d.]+/(?:test|idlelib/idle_test))/.*"
        ),
        what="tests",
        todo="find {roots} -type d \\( -name tests -o -name test \\) -prune -exec rm -rf {{}} +",
        risk="A few packages import their own tests.",
    ),
    _ForPeople(
        kind=AdviceKind.DOCUMENTATION,
        place=re.compile(
            r"(/usr/(?:local/)?share/(?:doc|man|info|help|gtk-doc|javadoc))/.*"
            r"|(/(?:.*/)?conda[^/]*/share/(?:doc|man|info))/.*"
        ),
        what="documentation",
        todo="find {roots} -type f ! -name copyright -delete",
    ),
    _ForPeople(
        kind=AdviceKind.DOCUMENTATION,
        place=re.compile(rf"({_R})/(?:help|html|doc|demo)/.*"),
        what="R's documentation",
        # The folders are libraries: of each package in them only these go.
        todo="find {roots} -maxdepth 2 -type d \\( -name help -o -name html -o -name doc "
        "-o -name demo \\) -prune -exec rm -rf {{}} +",
    ),
    _ForPeople(
        kind=AdviceKind.LOCALES,
        place=re.compile(
            r"(/usr/(?:local/)?share/(?:locale|i18n))/.*"
            r"|(/usr/lib/locale)/(?!C\.|locale-archive).*"
            r"|(/.*/(?:site|dist)-packages/[^/]+(?:/.*)?/(?:locale|locales|locale-data))/.*"
        ),
        what="other languages' words",
        todo="rm -rf {contents}",
        risk="Messages and formats in other languages than English are gone.",
    ),
)


def for_people(image: Image) -> Iterator[Found]:
    """Of each kind and layer, what the run did not read."""
    for kind in _KINDS:
        files = image.files(lambda path, kind=kind: kind.place.fullmatch(path))  # type: ignore[misc]
        if kind.kind is AdviceKind.DOCUMENTATION:
            files = {path: size for path, size in files.items() if not _LICENCE.fullmatch(path)}
        for step, found in image.by_layer(files):
            if step.base and sum(found.values()) < _WORTH_ANOTHER_BASE:
                continue
            read = {_root(kind, path) for path in image.touched if _is_read(image, kind, path)}
            roots = sorted({_root(kind, path, apart=read) for path in found})
            command = kind.todo.format(
                roots=" ".join(roots), contents=" ".join(f"{root}/*" for root in roots)
            )
            yield Found(
                kind=kind.kind,
                title=f"Leave {kind.what} out",
                seen=f"{plural(len(found), 'file')}, {format_bytes(sum(found.values()))}, in "
                f"{listing(roots)}, which the run did not read"
                + ("; licences are not counted." if kind.kind is AdviceKind.DOCUMENTATION else "."),
                todo="Take a smaller base image, such as the `-slim` tag of the same."
                if step.base
                else f"Run `{command}` in {where(step)}"
                + (", where that is made." if step.copies else ", in the same step."),
                takes=found,
                show=roots,
                rewrites={} if step.base or step.copies else {step.number: ended_by(command)},
                confidence=Confidence.LIKELY,
                risk=kind.risk,
            )


def _is_read(image: Image, kind: _ForPeople, path: str) -> bool:
    return image.used(path) and kind.place.fullmatch(path) is not None


def _root(kind: _ForPeople, path: str, apart: Collection[str] = ()) -> str:
    """The folder to name: that of all packages, unless something of the kind was read there."""
    found = kind.place.fullmatch(path)
    folder = next(filter(None, found.groups())) if found else path
    top = re.match(r"/(?:.*/)?(?:site-packages|dist-packages|site-library|R/library)(?=/)", folder)
    if top is None or kind.kind is AdviceKind.LOCALES or top[0] in apart:
        return folder
    return top[0]
