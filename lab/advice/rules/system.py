"""What only builds need: compilers, a JDK, headers, static libraries, debug symbols."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from lab.advice.rules.image import LEAST_BYTES, Image, where
from lab.advice.rules.model import AdviceKind, Confidence, Found, Rewrite
from lab.advice.rules.patches import (
    Step,
    ended_by,
    installs,
    name_in,
    parts_of,
    renamed,
    without,
)
from lab.advice.rules.words import listing
from lab.images.layers.packages import OTHER
from lab.report.words import plural
from lab.units import format_bytes

_COMPILERS: Final = re.compile(
    r"(?:gcc|g\+\+|cpp|gfortran|gnat|gdc|clang|llvm|lld|rustc|cargo|golang|binutils|build-essential"
    r"|make|cmake|cmake-data|ninja-build|dpkg-dev|patch|bison|flex|autoconf|automake|libtool"
    r"|libgcc-\d+-dev|libstdc\+\+-\d+-dev|libgfortran-\d+-dev|libc6-dev|libc-dev-bin"
    r"|linux-libc-dev|libcc1-\d+|lib[alt]san\d+|libubsan\d+|libitm\d+|libquadmath\d+|libhwasan\d+"
    r"|libclang.*|libbinutils|libctf.*|libgprofng\d+|libsframe\d+|gcc_impl.*|gxx_impl.*"
    r"|gfortran_impl.*|sysroot_.*|kernel-headers_.*|ld_impl.*|binutils_impl.*)"
    r"(?:-\d+(?:-base)?)?(?:-x86-64-linux-gnu|-aarch64-linux-gnu|_linux-\w+|-common|-dev|-runtime)*"
)
_COMPILER_PLACES: Final = re.compile(
    r"/usr/(?:local/)?(?:libexec|lib)/gcc/.*|/usr/local/go/.*|(?:/root|/usr/local)/\.?(?:cargo|rustup)"
    r"/.*"
)
_RUNTIME: Final = re.compile(
    r".*/lib(?:gcc_s|stdc\+\+|gfortran|gomp|quadmath|atomic)[^/]*\.so[.\d]*"
)
"""What compiled programs need, wherever compilers have it."""
_NAMED_COMPILERS: Final = re.compile(
    r"(?:gcc|g\+\+|gfortran|clang|build-essential|make|cmake|ninja-build|rustc|cargo|golang|cpp"
    r"|binutils|libc6-dev|llvm|autoconf|automake|libtool|bison|flex|build-base)(?:-\d+)?|.*-dev"
)
_BUILDING: Final = re.compile(
    r"\b(?:pip[\d.]* install|R CMD|install2?\.(?:packages|r)\b|install_\w+\(|renv::"
    r"|npm (?:ci|i|install)\b|c?make\b|cargo |go (?:build|install)|g(?:cc|\+\+|em) |setup\.py"
    r"|configure\b|\w+\.sh\b)"
)
_JDK_PACKAGE: Final = re.compile(
    r"(?:openjdk-\d+|temurin-\d+|java-[\d.]+-\w+|default)-(?:jdk|devel)\S*"
)
_JDK_FILE: Final = re.compile(
    r"(?P<home>.*)/(?:jmods/.*|include/.*|lib/(?:src\.zip|ct\.sym|libattach\.so)|demo/.*|man/.*"
    r"|bin/(?:javac|jar|javadoc|javap|jdb|jlink|jmod|jshell|jdeps|jpackage|jconsole|jarsigner"
    r"|jdeprscan|jimage|jhsdb|serialver))"
)
_HEADER: Final = re.compile(
    r".*\.(?:h|hh|hpp|hxx|cuh|inc|inl|tcc|pxd|ipp)|.*/include/(?!.*\.(?:py|pyc|so|js|json|R)$).*"
)
_STATIC: Final = re.compile(r".*\.(?:a|la|lib)")
_LEAST_SYMBOLS: Final = 2_000_000
_SHOWN: Final = 3


def jdk(image: Image) -> Iterator[Found]:
    """A Java that can compile, where Java only ran."""
    homes = {
        path.removesuffix("/bin/javac")
        for path in image.contents.entries
        if path.endswith("/bin/javac") and not image.used(path)
    }
    homes -= {"/usr"}  # a link of Debian's alternatives
    for home in sorted(homes):
        ran = any(image.used(path) for path in image.touched if path.startswith(f"{home}/"))
        takes = image.files(
            lambda path, home=home: (
                path.startswith(f"{home}/")  # type: ignore[misc]
                and _JDK_FILE.fullmatch(path)
            )
        )
        if not ran or sum(takes.values()) < LEAST_BYTES:
            continue
        step = image.step(image.layers_of(takes.keys())[0])
        wanted = [word for word in installs(step.shell or "", "Debian") if "jdk" in word]
        runs = {name_in(word): _run_time(name_in(word)) for word in wanted}
        for package in image.only_for(step, runs):
            takes = {**takes, **image.of_package(package)}
        yield Found(
            kind=AdviceKind.JDK,
            title="Install a Java runtime in place of the JDK",
            seen=f"{home} can compile, and the run only ran: "
            f"{format_bytes(sum(takes.values()))} of it, and of what came for it alone, are for "
            "compiling and for windows.",
            todo="Take a JRE: the base image's tag with `jre` for `jdk`."
            if step.base
            else f"Install the headless runtime in {where(step)}.",
            takes=takes,
            drops=[(step.number, word) for word in runs],
            show=[home],
            rewrites={} if step.base else {step.number: renamed("Debian", runs)},
            risk="What compiles at run time (JSP, some rule engines) needs the JDK.",
        )


def _run_time(name: str) -> str:
    return re.sub(r"-jdk(?:-headless)?$", "-jre-headless", name)


def compilers(image: Image) -> Iterator[Found]:
    """Compilers and what comes with them, if the run called none."""
    takes: dict[str, int] = {}
    for package in image.packages:
        manager, _, name = package[0], "", package[1].partition(" ")[0]
        known = manager in {"Debian", "conda"} and _COMPILERS.fullmatch(name) is not None
        if manager == "Debian" and known:
            # Of a step of the user's the words tell what belongs to a compiler, below.
            known = not image.asked_for(image.step(image.layers_of(image.packages[package])[0]))
        if known and package not in image.used_packages and package not in image.needed:
            takes |= image.of_package(package)
    words = {step.number: image.spare(step, _for_builds(step)) for step in image.steps}
    for number, named in words.items():
        for package in image.only_for(image.step(number), named):
            takes |= image.of_package(package)
    for path, size in image.files(_COMPILER_PLACES.fullmatch).items():
        if image.contents.entries[path].package[0] == OTHER:
            takes[path] = size
    takes = {path: size for path, size in takes.items() if not _RUNTIME.fullmatch(path)}
    ran = any(re.search(r"/(?:cc1(?:plus)?|gcc[-\d.]*|rustc)$", one) for one in image.touched)
    if ran:
        return
    for step, found in image.by_layer(takes):
        yield Found(
            kind=AdviceKind.COMPILER,
            title="Leave the compiler out",
            seen=f"{plural(len(found), 'file')}, {format_bytes(sum(found.values()))}, of compilers "
            f"and what belongs to them came with {where(step)}; the run called none.",
            todo=_without_compiler(step),
            takes=found,
            drops=[(step.number, word) for word in words[step.number]],
            rewrites=_out_of(image, step, words[step.number]),
            risk="What compiles at run time (torch.compile, numba with C, pip in an entry point) "
            "needs it.",
        )


def _without_compiler(step: Step) -> str:
    if step.base:
        return "Take a base image without it: the `-slim` tag of the same image."
    if step.copies:
        return f"Leave it out of {where(step)}."
    return (
        "Build in a first stage and copy the result (for Python a virtual environment), or purge "
        "the compiler in the step that installs it, once it has compiled."
    )


def _for_builds(step: Step) -> Sequence[str]:
    named = [name_in(word) for word in installs(step.shell or "", "Debian")]
    return [word for word in named if _NAMED_COMPILERS.fullmatch(word)]


def _out_of(image: Image, step: Step, named: Sequence[str]) -> Mapping[int, Rewrite]:
    """Purged in the step if that also builds; else moved into the one step that does."""
    shell = step.shell
    if step.base or shell is None or not named:
        return {}
    purge = f"apt-get purge -y --auto-remove {' '.join(named)}"
    if _builds(shell):
        return {step.number: ended_by(purge)}
    later = [
        one for one in image.steps[step.number :] if one.shell is not None and _builds(one.shell)
    ]
    if not later:
        return {step.number: without("Debian", set(named))}
    if len(later) != 1 or parts_of(later[0].shell or "") is None:
        return {}

    def around(build: str) -> str:
        return (
            f"apt-get update && apt-get install -y --no-install-recommends {' '.join(named)} && "
            f"{build} && {purge} && apt-get clean && rm -rf /var/lib/apt/lists/*"
        )

    return {step.number: without("Debian", set(named)), later[0].number: around}


def _builds(shell: str) -> bool:
    """Whether it runs what may compile; what it asks Debian for is no program that it runs."""
    parts = (parts_of(shell) or [shell])[::2]
    return any(_BUILDING.search(part) for part in parts if not installs(part, "Debian"))


def headers(image: Image) -> Iterator[Found]:
    """C headers that nothing read."""
    yield from _only_for_builds(
        image,
        _HEADER.fullmatch,
        AdviceKind.HEADERS,
        "Leave C headers out",
        "headers",
        r"-name '*.h' -o -name '*.hpp' -o -name '*.inc'",
    )


def static_libraries(image: Image) -> Iterator[Found]:
    """Archives for linkers."""
    yield from _only_for_builds(
        image,
        _STATIC.fullmatch,
        AdviceKind.STATIC_LIBRARIES,
        "Leave static libraries out",
        "static libraries",
        r"-name '*.a'",
    )


def _only_for_builds(
    image: Image,
    wanted: Callable[[str], object],
    kind: AdviceKind,
    title: str,
    what: str,
    test: str,
) -> Iterator[Found]:
    for step, found in image.by_layer(image.files(wanted)):
        tops = _tops(found)
        read = any(image.used(path) and wanted(path) for path in image.touched)
        removal = f"find {' '.join(tops)} -type f \\( {test} \\) -delete"
        yield Found(
            kind=kind,
            title=title,
            seen=f"{plural(len(found), 'file')}, {format_bytes(sum(found.values()))}, most in "
            f"{listing(tops, _SHOWN)}: {what} are for compiling against, and the run read none.",
            todo=f"Take a base image without `-dev` packages, or accept these {what}."
            if step.base
            else f"Remove them in {where(step)}"
            + (" where that is made: " if step.copies else ", in the same step: ")
            + f"`{removal}`.",
            takes=found,
            show=tops,
            rewrites={} if step.base or step.copies or read else {step.number: ended_by(removal)},
            risk="What compiles extensions at run time needs them.",
        )


def _tops(found: Mapping[str, int]) -> Sequence[str]:
    """The few folders that hold most of them."""
    weight: dict[str, int] = {}
    for path, size in found.items():
        top = re.match(r"/.*?/include(?=/)|/.*/[^/]+-packages/[^/]+(?=/)", path)
        name = top[0] if top else path.rpartition("/")[0]
        weight[name] = weight.get(name, 0) + size
    heavy = sorted(weight, key=lambda name: -weight[name])
    return heavy[:_SHOWN]


def debug_symbols(image: Image) -> Iterator[Found]:
    """Sections of libraries that only debuggers read."""
    takes = {
        path: known.debug_bytes
        for path, known in image.inputs.libraries.items()
        if known.debug_bytes >= _LEAST_SYMBOLS and path in image.files(unread=False)
    }
    for step, found in image.by_layer(takes):
        strip = f"strip --strip-unneeded {' '.join(sorted(found))}"
        # Packages of the system have none worth it; who strips needs binutils, in a first stage.
        yield Found(
            kind=AdviceKind.DEBUG_SYMBOLS,
            title="Strip debug symbols",
            seen=f"{format_bytes(sum(found.values()))} of {listing([*found], _SHOWN)} are symbols "
            "and debugging information, which no program needs to run.",
            todo=f"Run `{strip}` (of binutils) in the stage that makes them, before "
            f"{'they are copied' if step.copies else 'the step ends'}: {where(step)}.",
            takes=found,
            takes_read=False,
            claims=False,
            confidence=Confidence.TRY,
            risk="Native stack traces lose their names; hashes in a wheel's RECORD no longer fit.",
        )
