"""Which files of an image tell of its packages, and what they say: read, never run."""

import io
import json
import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.images.layers.packages import is_list

LARGEST_JAR: Final = 16 * 1024 * 1024
"""Larger ones are known by their file names alone."""
_LARGEST_ENTRY: Final = 64 * 1024

PYTHON: Final = re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)")
NODE: Final = re.compile(
    r"(?P<folder>(?:.*/)?node_modules/(?P<name>@[^/]+/[^/]+|[^/@.][^/]*))"
    r"/package\.json"
)
R: Final = re.compile(
    r"(?P<folder>(?:.*/)?(?:site-library|R/library|lib/R/library)/[^/]+)"
    r"/DESCRIPTION"
)
CONDA: Final = re.compile(r"(?:.*/)?conda-meta/[^/]+\.json")
DPKG: Final = re.compile(r"var/lib/dpkg/status(?:\.d/[^/]+(?<!\.md5sums))?")
TEXTS: Final = re.compile(
    r"(?!(?:.*/)?node_modules/)(?:.*/)?package\.json|(?:.*/)?pyvenv\.cfg"
    r"|usr/lib/os-release|etc/os-release"
)
"""What is kept for those who advise."""
_JAR: Final = re.compile(r"(?:.*/)?[^/]+\.jar")
_JAR_NAME: Final = re.compile(r"(?:.*/)?(?P<name>[^/]+?)-(?P<version>\d[^/]*)\.jar")
_FIELD: Final = re.compile(r"^([A-Za-z][\w-]*):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_REQUIREMENT: Final = re.compile(r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[(?P<extras>[^\]]*)\])?")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


def is_metadata(path: str) -> bool:
    """Whether a file's content is kept until all layers are there. Paths begin without a slash."""
    return is_list(path) or any(one.fullmatch(path) for one in (PYTHON, NODE, R, DPKG, TEXTS))


def is_jar(path: str) -> bool:
    """Whether a file is a jar of which the name does not say the version."""
    return bool(_JAR.fullmatch(path)) and not _JAR_NAME.fullmatch(path)


def jar_package(path: str, identity: str = "") -> str | None:
    """The name and version of a jar; ``identity`` is what ``jar_identity`` found in it."""
    if not _JAR.fullmatch(path):
        return None
    named = _JAR_NAME.fullmatch(path)
    if named:
        return f"{named['name']} {named['version']}"
    return identity or posixpath.basename(path)


def jar_identity(path: str, content: bytes) -> str:
    """What a jar says it is: by Maven's properties, else by its manifest, else by its file name."""
    name = posixpath.basename(path).removesuffix(".jar")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as jar:
            maven = [one for one in jar.namelist() if one.endswith("/pom.properties")]
            if len(maven) == 1:
                said = _properties(_entry(jar, maven[0]), "=")
                if {"artifactId", "version"} <= said.keys():
                    return f"{said['artifactId']} {said['version']}"
            said = _properties(_entry(jar, "META-INF/MANIFEST.MF"), ":")
    except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError, RuntimeError, ValueError):
        return name
    version = said.get("Implementation-Version") or said.get("Bundle-Version")
    return f"{name} {version}" if version else name


def _entry(jar: zipfile.ZipFile, name: str) -> str:
    with jar.open(name) as file:
        return file.read(_LARGEST_ENTRY).decode(errors="replace")


def _properties(text: str, sign: str) -> Mapping[str, str]:
    pairs = (line.partition(sign) for line in text.splitlines() if not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs if value}


def fields(text: str) -> Mapping[str, Sequence[str]]:
    """What stands in a head as mails have it (dpkg, R, Python): each field's values, unfolded."""
    found: dict[str, list[str]] = {}
    for key, value in _FIELD.findall(text):
        found.setdefault(key.lower(), []).append(value)
    return found


def stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """Those of dpkg's status, of what is installed."""
    for stanza in re.split(r"\n\s*\n", text):
        said = {key: values[0] for key, values in fields(stanza).items()}
        if "package" in said and said.get("status", "installed").endswith("installed"):
            yield said


def debian_choices(relations: str) -> Iterator[Sequence[str]]:
    """``a (>= 1), b | c:any`` as ``[a]`` and ``[b, c]``."""
    for relation in relations.split(","):
        names = [
            match[0]
            for one in relation.split("|")
            if (match := re.match(r"[^\s(:\[]+", one.strip()))
        ]
        if names:
            yield names


def python_head(text: str) -> Mapping[str, Sequence[str]]:
    """The fields of a ``METADATA`` file, without its description."""
    return fields(text.replace("\r\n", "\n").partition("\n\n")[0])


def python_requirement(line: str) -> tuple[str, Sequence[str], str | None] | None:
    """A ``Requires-Dist``: normalised name, extras it asks for, and the extra that it is for. All
    other markers are taken to hold: what is not there is needed by nobody.
    """
    found = _REQUIREMENT.match(line)
    if found is None:
        return None
    extra = _EXTRA.search(line.partition(";")[2])
    asked = [normalised(one) for one in (found["extras"] or "").split(",") if one.strip()]
    return normalised(found["name"]), asked, normalised(extra[1]) if extra else None


def normalised(name: str) -> str:
    """A Python package's name, as its index compares them."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def r_names(said: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What an R package needs."""
    for key in ("depends", "imports", "linkingto"):
        for name in ",".join(said.get(key, ())).split(","):
            plain = re.match(r"\s*([A-Za-z][\w.]*)", name)
            if plain and plain[1] != "R":
                yield plain[1]


def node_names(said: Mapping[str, Any]) -> Iterator[str]:
    """What a Node package needs, or uses where it is there."""
    for key in ("dependencies", "optionalDependencies", "peerDependencies"):
        listed = said.get(key)
        yield from listed if isinstance(listed, dict) else ()


def parsed(text: str) -> Mapping[str, Any]:
    """A JSON object; empty where it is none."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
