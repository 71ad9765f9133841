"""What a build must know of this machine: whom it trusts, where its packages come from.

All of it goes in as build secrets, which no layer keeps.
"""

import ast
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from lab.engine.install.apt import Source, deb822, official
from lab.errors import CommandError
from lab.host import os_release, pip
from lab.process import run

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS
)
_BUNDLE_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

_LOOPBACK: Final = re.compile(r"//(?:[^@/]*@)?(?:localhost|127\.|\[::1\])")

_LISTS: Final = frozenset({"extra-index-url", "find-links", "trusted-host"})
_UV_LISTS: Final = {
    "extra-index-url": "extra-index-url",
    "find-links": "find-links",
    "trusted-host": "allow-insecure-host",
}
_SINGLE: Final = frozenset({"index-url", "proxy", "timeout", "retries", "prefer-binary"})

SUITE: Final = "trixie"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
PUBLIC: Final = "http://deb.debian.org/debian"
PUBLIC_SECURITY: Final = "http://deb.debian.org/debian-security"


@contextmanager
def host_files(env: Mapping[str, str] = os.environ) -> Iterator[Mapping[str, str]]:
    """Write the files for as long as a build runs, readable by this user only.

    Yields the bake file's variables that name them, empty where there is nothing to say, and the
    proxies.
    """
    with TemporaryDirectory(prefix="inference-lab-") as folder:
        settings = pip_settings()
        yield {
            "CA_FILE": str(ca_bundle(env, settings) or ""),
            "PIP_FILE": _write(Path(folder, "pip.conf"), pip_conf(settings)),
            "UV_FILE": _write(Path(folder, "uv.toml"), uv_toml(settings, reached=_remote)),
            "APT_FILE": _write(Path(folder, "debian.sources"), deb822(host_sources())),
            **proxies(env),
        }


def ca_bundle(env: Mapping[str, str], settings: Mapping[str, str]) -> Path | None:
    """The certificates that this machine trusts: pip's own setting first, then the system's."""
    named = [env.get("PIP_CERT"), settings.get("cert"), *map(env.get, _BUNDLE_VARIABLES)]
    for name in (*named, *_BUNDLES):
        if name and Path(name).is_file():
            return Path(name)
    return None


def pip_settings() -> Mapping[str, str]:
    """What pip on this machine is told, from its files and from ``PIP_*``."""
    try:
        listed = run([*pip(), "config", "list"]).stdout
    except CommandError:  # no pip in this environment
        return {}
    return parse_pip_settings(listed)


def parse_pip_settings(listed: str) -> Mapping[str, str]:
    """The output of ``pip config list``: the environment over ``[install]`` over ``[global]``."""
    found: dict[tuple[int, str], str] = {}
    for line in listed.splitlines():
        name, equals, value = line.partition("=")
        scope, _, key = name.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(scope)
        if not equals or rank is None:
            continue
        key = {"default-timeout": "timeout"}.get(key, key)
        try:
            found[rank, key] = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            found[rank, key] = value
    return {key: value for (_, key), value in sorted(found.items())}


def pip_conf(settings: Mapping[str, str]) -> str:
    """A ``pip.conf`` with what a container can reach: files of this machine are dropped."""
    lines = []
    for key, value in sorted(settings.items()):
        if key in _LISTS:
            words = [word for word in shlex.split(value) if key == "trusted-host" or _remote(word)]
        elif key in _SINGLE and (key != "index-url" or _remote(value)):
            words = [value]
        else:
            words = []
        if words:
            lines.append(f"{key} = " + "\n    ".join(words))
    return "\n".join(("[global]", *lines, ""))


def uv_toml(settings: Mapping[str, str], *, reached: Callable[[str], bool]) -> str:
    """The same for uv, which reads nothing of pip's; ``reached`` chooses among locations.

    All that is installed is pinned by hash, so that the best match may come from any index.
    """
    lines = ["system-certs = true", 'index-strategy = "unsafe-best-match"']
    index = settings.get("index-url", "")
    if index and reached(index):
        lines.append(f"index-url = {json.dumps(index)}")
    if proxy := settings.get("proxy"):
        lines += [f"{scheme}-proxy = {json.dumps(proxy)}" for scheme in ("http", "https")]
    for key, name in _UV_LISTS.items():
        words = shlex.split(settings.get(key, ""))
        if found := [word for word in words if key == "trusted-host" or reached(word)]:
            lines.append(f"{name} = {json.dumps(found)}")
    return "\n".join((*lines, ""))


def proxies(env: Mapping[str, str]) -> Mapping[str, str]:
    """The proxies; empty for those on this machine's loopback, which no container reaches."""
    found = {name: env.get(name) or env.get(name.lower()) or "" for name in _PROXIES}
    return {
        name: "" if name != "NO_PROXY" and _LOOPBACK.search(value) else value
        for name, value in found.items()
    }


def _remote(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _write(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return str(path)


def public_sources() -> Sequence[Source]:
    """What Debian documents, and what an image is left with."""
    return (
        _source(PUBLIC, SUITE, f"{SUITE}-updates"),
        _source(PUBLIC_SECURITY, f"{SUITE}-security"),
    )


def host_sources(
    release: Mapping[str, str] | None = None, *, etc: Path = Path("/etc/apt")
) -> Sequence[Source]:
    """The same suites from the mirrors in the machine's own apt sources.

    The public ones where it is no Debian: a mirror of something else does not have Debian.
    """
    known = os_release() if release is None else release
    codename = known.get("VERSION_CODENAME", "")
    if known.get("ID") != "debian" or not codename:
        return public_sources()
    main, *others = official(codename, "debian", etc=etc)
    security = [source for source in others if f"{codename}-security" in source.suites]
    return (
        _source(main.uri, SUITE, f"{SUITE}-updates"),
        *(_source(source.uri, f"{SUITE}-security") for source in security[:1]),
    )


def apt_lines(sources: Sequence[Source]) -> Sequence[str]:
    """A line per suite, as mmdebstrap takes them."""
    return [
        f"deb [signed-by={source.signed_by}] {source.uri} {suite} {' '.join(source.components)}"
        for source in sources
        for suite in source.suites
    ]


def _source(uri: str, *suites: str) -> Source:
    return Source(uri=uri, suites=suites, components=["main"], signed_by=KEYRING)
