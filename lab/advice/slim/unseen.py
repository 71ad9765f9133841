"""What an image needs although no recording of a run shows it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MANAGERS: Final = frozenset({"Python", "Node", "R", "conda"})
"""Whose packages bring nothing that is of use without the package."""


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """A kind of file that stays, and why."""

    what: str
    pattern: re.Pattern[str]
    """Of the absolute path, whole."""
    with_package: bool = False
    """Only beside something else of its package that stays, whoever brought it."""

    def holds(self, path: str, manager: str, *, package_stays: bool) -> bool:
        """Whether the file stays for this reason; ``manager`` is whose package it came with."""
        alone = not self.with_package and manager not in _MANAGERS
        return (alone or package_stays) and self.pattern.fullmatch(path) is not None


def _kind(what: str, pattern: str, *, with_package: bool = False) -> Unseen:
    return Unseen(what=what, pattern=re.compile(pattern, re.IGNORECASE), with_package=with_package)


_KINDS: Final = (
    _kind("configuration", r"/etc(?:/.*)?"),
    _kind(
        "licences",
        r".*/(?:licen[cs]es?|copying|notice|copyright)(?:[._-][^/]*)?(?:/.*)?",
        with_package=True,
    ),
    _kind(
        "CA certificates",
        r"/usr/(?:local/)?share/ca-certificates/.*|/usr/lib/ssl(?:/.*)?|.*/certifi/cacert\.pem"
        r"|.*/security/cacerts|.*/ssl/cert\.pem|.*/ca-certificates\.crt",
    ),
    _kind("locale", r"/usr/lib/locale/C(?:\.[^/]*)?(?:/.*)?"),
    _kind("time zone", r"/usr/share/zoneinfo/(?:Etc/)?(?:UTC|GMT)"),
    _kind("name service", r".*/lib(?:nss_[^/]*|resolv[.-][^/]*)\.so[^/]*|.*/libresolv\.so[^/]*"),
    _kind("dynamic loader", r".*/ld-(?:linux|musl)[^/]*\.so[^/]*|.*/ld64?\.so[^/]*"),
    _kind("package metadata", r".*\.(?:dist|egg)-info/.*", with_package=True),
    _kind(
        "package lists",
        r"/var/lib/dpkg/(?:status|status\.d/.*)|/(?:usr/)?lib/apk/db/.*|/var/lib/rpm/.*",
    ),
    _kind("the system's name", r"/usr/lib/os-release"),
)

FOLDERS: Final = (
    *("/", "/tmp", "/var/tmp", "/run", "/dev", "/proc", "/sys", "/etc", "/root", "/home"),  # noqa: S108
    *(
        "/opt",
        "/opt/ml",
        "/opt/ml/model",
        "/opt/ml/input",
        "/opt/ml/output",
        "/var/run",
        "/var/log",
    ),
)
"""What programs write to, and where something is mounted: stay if they are there."""


def kinds_for(config: Mapping[str, Any]) -> Sequence[Unseen]:
    """The kinds of files that stay; ``config`` is the image's, for its locale and time zone."""
    env = environment(config)
    own = []
    languages = {env[name] for name in ("LANG", "LC_ALL", "LC_CTYPE") if env.get(name)}
    for language in sorted(languages):
        name, _, coding = language.partition(".")
        # glibc knows en_US.UTF-8 as en_US.utf8.
        folder = re.escape(name) + (r"\." + coding.replace("-", "-?") if coding else "")
        own.append(_kind("locale", rf"/usr/lib/locale/(?:{folder}/.*|locale-archive)"))
    if env.get("TZ"):
        own.append(_kind("time zone", rf"/usr/share/zoneinfo/{re.escape(env['TZ'].lstrip(':'))}"))
    return (*_KINDS, *own)


def folders_for(config: Mapping[str, Any]) -> Sequence[str]:
    """The folders that stay even when nothing is in them: also those that the image names."""
    inner = config.get("config") or {}
    named = [inner.get("WorkingDir") or "/", *(inner.get("Volumes") or ())]
    home = environment(config).get("HOME")
    return (*FOLDERS, *named, *([home] if home else []))


def environment(config: Mapping[str, Any]) -> Mapping[str, str]:
    """The image's variables."""
    pairs = (str(one).partition("=") for one in (config.get("config") or {}).get("Env") or ())
    return {name: value for name, _, value in pairs}
