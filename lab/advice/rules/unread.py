"""Whole packages and folders that the run did not touch."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from lab.advice.rules.cpu import requirement_lines
from lab.advice.rules.image import LEAST_BYTES, Image, where
from lab.advice.rules.model import AdviceKind, Confidence, Found, Rewrite
from lab.advice.rules.patches import (
    Step,
    all_of,
    ended_by,
    installs,
    name_in,
    option,
    uninstalled,
    without,
)
from lab.advice.rules.words import capital, listing
from lab.images.layers.packages import OTHER, Package
from lab.report.words import plural
from lab.units import format_bytes

_ALONE_BYTES: Final = 5_000_000
"""A package of so many is told alone, smaller ones together."""
_MANAGERS: Final = ("Python", "Debian", "Node", "R", "conda")
_STAYS: Final[Mapping[str, re.Pattern[str]]] = {
    # Read by programs in other circumstances than a recorded run's, or what a package manager
    # refuses to take out.
    "Debian": re.compile(
        r"ca-certificates.*|tzdata.*|base-files|base-passwd|libc-bin|libc6|netbase|passwd|login.*"
        r"|dpkg|apt|bash|dash|coreutils|debianutils|diffutils|findutils|grep|gzip|hostname|init-.*"
        r"|libpam.*|mawk|ncurses-.*|perl-base|sed|sysvinit-.*|tar|util-linux.*|bsdutils|debconf"
        r"|sensible-utils|libnss.*|locales|tini|openssl|.*-base|libapt.*|debian-archive-keyring"
        r"|gcc-\d+-base|usr-is-merged|mount|e2fsprogs|logsave"
    ),
    "Python": re.compile(r"certifi|tzdata|.*-stubs"),
    "conda": re.compile(r"ca-certificates|certifi|tzdata|openssl|_.*|conda.*"),
}
_DEBIANS_NODE: Final = "/usr/share/nodejs/"
"""Packages that came with Debian's, and that no list of the user's names."""
_SHARED: Final = {
    *("/home", "/media", "/mnt", "/opt", "/root", "/srv", "/usr", "/var"),
    *(
        "/usr/share",
        "/usr/local",
        "/usr/local/share",
        "/usr/src",
        "/var/lib",
        "/var/opt",
        "/var/www",
    ),
}
"""Folders of the system's own, of which only what is in them can go."""
_STAYS_PLACE: Final = re.compile(
    r"/(?:etc|dev|proc|sys|run|opt/ml)(?:/.*)?|/usr/share/(?:zoneinfo|ca-certificates|licenses"
    r"|common-licenses|doc|locale|i18n|terminfo|misc)(?:/.*)?|/usr/lib/(?:locale|ssl|terminfo)(?:/.*)?"
    r"|/var/(?:backups|cache|log|spool)(?:/.*)?|/usr/share/(?:applications|glib-2.0|icons|mime)(?:/.*)?"
    r"|/var/lib/(?:dpkg|apt|rpm)(?:/.*)?|/usr/lib/.*/(?:gconv|nss|security)(?:/.*)?"
    r"|.*/(?:certs?|licen[cs]es)(?:/.*)?"
)
_SYSTEM: Final = re.compile(r"/(?:usr/)?(?:s?bin|lib(?:32|64)?|libexec)(?:/.*)?")


def packages(image: Image) -> Iterator[Found]:
    """Packages that nothing touched and that nothing touched needs."""
    groups: dict[tuple[str, int], list[Package]] = defaultdict(list)
    stays = [package for package in image.packages if _stays(package)]
    needed = image.needed.keys() | image.led_to(stays).keys()
    for package in _unread(image):
        if package not in needed:
            files = image.of_package(package)
            if files and sum(files.values()):
                groups[package[0], image.layers_of(files.keys())[0]].append(package)
    for (manager, number), those in sorted(groups.items()):
        step = image.step(number)
        if manager == "Debian" and image.asked_for(step):
            yield from _by_word(image, step, those)
            continue
        sizes = {one: sum(image.of_package(one).values()) for one in those}
        alone = [] if step.base else [one for one in those if sizes[one] >= _ALONE_BYTES]
        for one in alone:
            yield _leave_out(image, manager, step, [one])
        rest = [one for one in those if one not in alone]
        if sum(sizes[one] for one in rest) >= LEAST_BYTES:
            yield _leave_out(image, manager, step, sorted(rest, key=lambda one: -sizes[one]))


def _by_word(image: Image, step: Step, those: Sequence[Package]) -> Iterator[Found]:
    """Debian's: with the word by which the step asks for them; else they were recommended."""
    asked = image.asked_for(step)
    # Of several that lead to a package the one that nothing read itself.
    words = sorted(asked, key=lambda word: ("Debian", word) not in those)
    groups: dict[str, dict[Package, int]] = defaultdict(dict)
    for one in those:
        word = next((word for word in words if one in asked[word]), "")
        groups[word][one] = sum(image.of_package(one).values())
    for word, sizes in groups.items():
        total = sum(sizes.values())
        if total < LEAST_BYTES:
            continue
        names = [one[1] for one in sorted(sizes, key=lambda one: (one[1] != word, -sizes[one]))]
        size = f"{format_bytes(total)} of {listing(names)}"
        builder = image.builder(step, ("Debian", word))
        spare = bool(image.spare(step, [word]))
        rewrite = without("Debian", {word})
        drops = [(step.number, word)] if word else []
        title = f"Do not install {word}" + ("" if len(names) < 2 else " and what it brings")
        todo = f"Leave {word} out of {where(step)}."
        seen = f"Nothing read a file of {size}, and nothing that was read says that it needs them."
        if not word:
            title = f"Leave {plural(len(names), 'recommended package')} out"
            todo = f"Install with `--no-install-recommends` in {where(step)}."
            rewrite = option("Debian", "--no-install-recommends")
        elif builder is not None:
            title = f"Keep {word} and what it brings to a first stage"
            todo = (
                f"{capital(where(builder))} runs it: do that in a first stage, and copy only the "
                "result to the one that serves."
            )
            if builder.number == step.number and spare:
                purge = f"apt-get purge -y --auto-remove {word}"
                todo = f"Run `{purge}` at the end of {where(step)}, which needs it until then."
                rewrite = ended_by(purge)
        elif not spare:
            todo = f"{word} brings what is used, too: name only that in {where(step)}."
            title = f"Install less than {word}"
        acts = not word or (spare and (builder is None or builder.number == step.number))
        yield Found(
            kind=AdviceKind.UNREAD_PACKAGE,
            title=title,
            seen=seen,
            todo=todo,
            takes={path: size for one in sizes for path, size in image.of_package(one).items()},
            drops=drops if acts else (),
            show=names[:8],
            rewrites={step.number: rewrite} if acts else {},
            confidence=Confidence.LIKELY,
            risk="A request that the payloads are no example of might need it.",
        )


def _unread(image: Image) -> Sequence[Package]:
    return [
        package
        for package in image.packages
        if package[0] in _MANAGERS
        and package not in image.used_packages
        and not _stays(package)
        and not image.packages[package][0].startswith(_DEBIANS_NODE)
    ]


def _stays(package: Package) -> bool:
    known = _STAYS.get(package[0])
    return known is not None and known.fullmatch(package[1].partition(" ")[0]) is not None


def _leave_out(image: Image, manager: str, step: Step, those: Sequence[Package]) -> Found:
    takes: dict[str, int] = {}
    for one in those:
        takes |= image.of_package(one)
    names = [one[1] for one in those]
    bare = [name.partition(" ")[0] for name in names]
    title = (
        f"Do not install {bare[0]}"
        if len(bare) == 1
        else f"Leave {len(bare)} {manager} packages out that nothing read"
    )
    # What also brings something that was used is named still, and goes alone.
    leads = {name_in(one[1]) for one in those if image.used_packages & image.led_to([one]).keys()}
    rewrite = _rewrite(manager, step, bare, leads)
    built = any(image.builder(step, one) for one in those)
    lines: list[str] = []
    if manager == "Python":
        for name in {name_in(one) for one in bare} - leads:
            lines += requirement_lines(image, step.shell or "", name, lambda _: None)
    return Found(
        kind=AdviceKind.UNREAD_PACKAGE,
        title=title,
        seen=f"Nothing read a file of {listing(names)}, {format_bytes(sum(takes.values()))} in "
        f"{plural(len(takes), 'file')}, and nothing that was read says that it needs "
        f"{'it' if len(names) == 1 else 'them'}.",
        todo=_how(step, bare)
        + (" A step runs a program of it: do that in a first stage." if built else ""),
        takes=takes,
        show=[] if len(names) == 1 else names[:8],
        rewrites={} if step.base or lines or built else {step.number: rewrite},
        lines=lines,
        confidence=Confidence.TRY if step.base else Confidence.LIKELY,
        risk="A request that the payloads are no example of might need it.",
    )


def _rewrite(manager: str, step: Step, bare: Sequence[str], leads: Collection[str]) -> Rewrite:
    """Not named any more; else, and those that lead to others, uninstalled in the same step."""
    names = {name_in(name) for name in bare}.difference(leads)
    named = {name_in(word) for word in installs(step.shell or "", manager)} & names

    def nothing(shell: str) -> str | None:
        del shell
        return None

    if manager == "Python":
        rest = [name for name in bare if name_in(name) not in named]
        return all_of(without(manager, named), uninstalled(rest))
    return without(manager, named) if manager in {"Node", "conda"} else nothing


def _how(step: Step, bare: Sequence[str]) -> str:
    if step.base:
        return (
            "They come with the base image: take a smaller one (a `-slim` tag, or one without a "
            "shell), or make a virtual environment or folder in a first stage and copy it to one."
        )
    if step.copies:
        return f"Do not install {listing(bare)} in the stage that makes {where(step)}."
    return f"Leave {listing(bare)} out of {where(step)}, or out of the list that it reads."


def dependencies(image: Image) -> Iterator[Found]:
    """Packages that nothing touched, though something used says that it needs them."""
    for package in _unread(image):
        wanted_by = image.needed.get(package)
        files = image.of_package(package)
        size = sum(files.values())
        if wanted_by is None or package[0] != "Python" or size < _ALONE_BYTES:
            continue
        step = image.step(image.layers_of(files.keys())[0])
        name = package[1].partition(" ")[0]
        yield Found(
            kind=AdviceKind.UNREAD_DEPENDENCY,
            title=f"Try without {name}, which {wanted_by[1].partition(' ')[0]} asks for",
            seen=f"Nothing read a file of {package[1]}, {format_bytes(size)} in "
            f"{plural(len(files), 'file')}; {wanted_by[1]} says that it needs it.",
            todo=f"Uninstall it once all is installed, `pip uninstall -y {name}` in {where(step)}, "
            "and try every kind of request; `pip check` will complain.",
            takes=files,
            show=[],
            rewrites={} if step.base else {step.number: uninstalled([name])},
            confidence=Confidence.TRY,
            risk=f"A function of {wanted_by[1].partition(' ')[0]} that no payload called may need "
            "it.",
        )


def folders(image: Image) -> Iterator[Found]:
    """Folders of no package that a step brought, and that the run did not look into."""
    sizes: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    entries = image.contents.entries
    kept = {path for path in image.touched if image.used(path)}
    kept |= {path for path in entries if _STAYS_PLACE.fullmatch(path.rpartition("/")[0])}
    folders_of = {path[:at] for path in kept for at, sign in enumerate(path) if sign == "/" and at}
    folders_of |= _SHARED
    for path, size in image.files().items():
        if entries[path].package[0] == OTHER and path not in kept:
            top = _highest(path, folders_of)
            if not _SYSTEM.fullmatch(top):
                sizes[top, entries[path].layer][path] = size
    for (top, number), files in sizes.items():
        size = sum(files.values())
        step = image.step(number)
        if size < LEAST_BYTES or step.base:
            continue
        yield Found(
            kind=AdviceKind.UNREAD_FOLDER,
            title=f"Leave {top} out",
            seen="Nothing read a file in it: "
            f"{format_bytes(size)} in {plural(len(files), 'file')}, which came with {where(step)}.",
            todo=f"Name it in .dockerignore, or copy only what is needed in {where(step)}."
            if step.copies
            else f"Remove it in {where(step)}, in the same step.",
            takes=files,
            show=[top],
            rewrites={} if step.copies else {number: ended_by(f"rm -rf {top}")},
            confidence=Confidence.LIKELY,
            risk="A request that the payloads are no example of might read it.",
        )


def parts(image: Image) -> Iterator[Found]:
    """Large parts of Python packages that are used otherwise: folders in which nothing was read."""
    sites = tuple(f"{site}/" for site in image.sites)
    kept = {path for path in image.touched if image.used(path)}
    folders_of = {path[:at] for path in kept for at, sign in enumerate(path) if sign == "/" and at}
    found: dict[Package, dict[str, int]] = defaultdict(dict)
    tops: dict[Package, Counter[str]] = defaultdict(Counter)
    entries = image.contents.entries
    for path, size in image.files().items():
        package = entries[path].package
        if package not in image.used_packages or not path.startswith(sites):
            continue
        top = _highest(path, folders_of)
        # Sources beside byte code that was read are its own; so are a package's licences and list.
        if top != path and not _told_of(path):
            found[package][path] = size
            tops[package][top] += size
    for package, files in found.items():
        # Small folders stay: it is not worth the risk, and there are hundreds of them.
        large = [top for top, size in tops[package].most_common() if size >= _PART_BYTES]
        takes = {path: size for path, size in files.items() if path.startswith(_below(large))}
        if sum(takes.values()) < _ALONE_BYTES:
            continue
        step = image.step(image.layers_of(takes.keys())[0])
        name = package[1].partition(" ")[0]
        removal = f"rm -rf {' '.join(sorted(large))}"
        yield Found(
            kind=AdviceKind.UNREAD_PART,
            title=f"Try without the parts of {name} that nothing read",
            seen=f"{package[1]} was used, and nothing in {listing(large)} was read: "
            f"{format_bytes(sum(takes.values()))} in {plural(len(takes), 'file')}.",
            todo=f"Let `lab images slim` try it, which proves what it leaves out; or by hand "
            f"`{removal}` in {where(step)}.",
            takes=takes,
            show=large,
            rewrites={} if step.base or step.copies else {step.number: ended_by(removal)},
            confidence=Confidence.TRY,
            risk="A function that no payload called may import them.",
        )


_PART_BYTES: Final = 1_000_000


def _below(folders: Collection[str]) -> tuple[str, ...]:
    return tuple(f"{folder}/" for folder in folders)


def _told_of(path: str) -> bool:
    return ".dist-info/" in path or ".egg-info/" in path


def _highest(path: str, used: Collection[str]) -> str:
    """The highest folder above a file in which nothing was read: of a file beside ones that were,
    itself.
    """
    for at, sign in enumerate(path):
        if sign == "/" and at and path[:at] not in used:
            return path[:at]
    return path
