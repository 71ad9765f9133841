"""What a build leaves behind, known by its place, and what keeps it out of the image."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HOME: Final = r"(?:root|home/[^/]+)"
_PACKAGES: Final = r"(?:.*/)?(?:site|dist)-packages"


@dataclass(frozen=True, kw_only=True)
class Ballast:
    """A kind of it."""

    name: str
    place: re.Pattern[str]
    """Group 1 is the folder to name, without the leading slash."""
    cure: str
    """What to do in the step that makes it, imperative."""
    done: re.Pattern[str] | None = None
    """How a step looks that does it already."""
    wanted: bool = False
    """It is there for a reason: told, but not to be removed."""


def _kind(name: str, place: str, cure: str, done: str = "", *, wanted: bool = False) -> Ballast:
    return Ballast(
        name=name,
        place=re.compile(rf"({place})/.*"),
        cure=cure,
        done=re.compile(done) if done else None,
        wanted=wanted,
    )


def _mount(folder: str) -> str:
    return f"`RUN --mount=type=cache,target={folder}`"


KINDS: Final[Sequence[Ballast]] = (
    _kind(
        "apt's archives",
        r"var/cache/apt(?:/archives)?",
        "run `apt-get clean`",
        r"apt(?:-get)?\s+(?:-\S+\s+)*(?:dist)?clean|rm\s[^&|;]*/var/cache/apt",
    ),
    _kind(
        "apt's lists",
        r"var/lib/apt/lists",
        "run `rm -rf /var/lib/apt/lists/*`",
        r"rm\s[^&|;]*/var/lib/apt|apt-get\s+(?:-\S+\s+)*distclean",
    ),
    _kind(
        "yum's and dnf's cache",
        r"var/cache/(?:yum|dnf|libdnf5)",
        "run `dnf clean all` (or `yum clean all`)",
        r"(?:dnf|yum|microdnf)\s+(?:-\S+\s+)*clean",
    ),
    _kind(
        "apk's cache",
        r"(?:var/cache|etc)/apk(?:/cache)?",
        "install with `apk add --no-cache`",
        r"apk\s[^&|;]*--no-cache",
    ),
    _kind(
        "pip's cache",
        rf"{_HOME}/\.cache/pip",
        f"install with `pip install --no-cache-dir`, or under {_mount('/root/.cache/pip')}",
        r"--no-cache-dir|PIP_NO_CACHE_DIR|pip\s+cache\s+purge",
    ),
    _kind(
        "uv's cache",
        rf"{_HOME}/\.cache/uv",
        f"install with `uv --no-cache`, or under {_mount('/root/.cache/uv')}",
        r"uv\s[^&|;]*--no-cache|UV_NO_CACHE|uv\s+cache\s+clean",
    ),
    _kind(
        "Poetry's cache",
        rf"{_HOME}/\.cache/pypoetry",
        f"install under {_mount('/root/.cache/pypoetry')}, or set POETRY_NO_CACHE=1",
        r"POETRY_NO_CACHE|poetry\s+cache\s+clear",
    ),
    _kind(
        "npm's cache",
        rf"{_HOME}/\.npm",
        f"run `npm cache clean --force`, or install under {_mount('/root/.npm')}",
        r"npm\s+cache\s+clean",
    ),
    _kind(
        "Yarn's cache",
        rf"(?:usr/local/share/\.cache|{_HOME}/\.cache)/yarn|{_HOME}/\.yarn/berry/cache",
        "run `yarn cache clean`",
        r"yarn\s+cache\s+clean",
    ),
    _kind(
        "conda's packages",
        r"(?:.*/)?(?:[a-z]*conda[0-9]?|[a-z]*mamba(?:forge)?|miniforge3?|\.conda)/pkgs",
        "run `conda clean -afy`",
        r"(?:conda|mamba)\s+clean",
    ),
    _kind(
        "R's downloads",
        rf"tmp/Rtmp[^/]+|tmp/downloaded_packages|{_HOME}/\.cache/R",
        "run `rm -rf /tmp/Rtmp* /tmp/downloaded_packages /root/.cache/R`",
        r"rm\s[^&|;]*(?:/tmp/Rtmp|downloaded_packages)",
    ),
    _kind(
        "Maven's and Gradle's packages",
        rf"{_HOME}/\.(?:m2/repository|gradle/caches)",
        "build in a first stage and copy only the result",
    ),
    _kind(
        "Cargo's and Go's packages",
        rf"(?:{_HOME}/\.cargo|usr/local/cargo)/registry|(?:{_HOME}/)?go/pkg/mod"
        rf"|{_HOME}/\.cache/go-build",
        "build in a first stage and copy only the result",
    ),
    _kind(
        "the compiler",
        r"usr/(?:lib|libexec)/gcc",
        "build in a first stage and copy only the result, or `apt-get purge --auto-remove` the "
        "compiler where it was installed",
        r"apt-get\s+(?:-\S+\s+)*(?:purge|autoremove|remove)|apk\s+del",
    ),
    _kind(
        "a repository's history",
        r"(?:.*/)?\.git",
        "name .git in .dockerignore, or `rm -rf` it where it is cloned",
        r"rm\s[^&|;]*\.git\b",
    ),
    _kind(
        "tests of Python packages",
        rf"{_PACKAGES}/(?:[^/]+/)+tests?",
        r"run `find / -path '*-packages/*' -type d -name tests -prune -exec rm -rf {} +`",
        r"find\s[^&|;]*tests",
    ),
    _kind(
        "temporary files",
        r"(?:var/)?tmp",
        "run `rm -rf /tmp/* /var/tmp/*`",
        r"rm\s[^&|;]*\s/tmp/",
    ),
    _kind(
        "what Python compiled",
        r"(?:.*/)?__pycache__",
        "keep it: without it, every cold start compiles again",
        wanted=True,
    ),
)
"""The first that fits counts."""


def kind_of(path: str) -> tuple[Ballast, str] | None:
    """What a file is left of, and the folder to name; None for what belongs there."""
    for kind in KINDS:
        found = kind.place.fullmatch(path)
        if found:
            return kind, found[1]
    return None
