"""Files that hold secrets by their place: which, and whether these really do."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from lab.images.layers.credentials import Leak, assignments, in_text, in_url, in_variable

LARGEST_READ: Final = 1024 * 1024
"""Files above this are not read: secrets are small, and images are not."""

_HEAD: Final = 2048

Judge = Callable[[str], Sequence[Leak]]


def _holding(pattern: str, what: str) -> Judge:
    """A file that only is a finding when it holds something of this form."""
    form = re.compile(pattern)
    return lambda text: [Leak(what=what)] if form.search(text) else []


def _git(text: str) -> Sequence[Leak]:
    return [*in_url(text)] or [Leak(what="a repository's history (.git)", sure=False)]


def _env(text: str) -> Sequence[Leak]:
    found = [leak for name, value in assignments(text) for leak in in_variable(name, value)]
    return found[:1] or ([Leak(what="an .env file", sure=False)] if text.strip() else [])


_FILES: Final[Sequence[tuple[re.Pattern[str], Judge]]] = tuple(
    (re.compile(rf"(?:.*/)?{pattern}"), judge)
    for pattern, judge in (
        (
            r"\.aws/credentials",
            _holding(r"(?i)aws_secret_access_key\s*=\s*\S{16,}", "AWS credentials"),
        ),
        (
            r"\.pypirc",
            _holding(r"(?m)^\s*password\s*[:=]\s*(?!\$|<|%)\S+", "a .pypirc with a password"),
        ),
        (
            r"(?:\.docker/config\.json|\.dockercfg)",
            _holding(
                r'"(?:auth|identitytoken|password)"\s*:\s*"[^"]{4,}"', "a registry's credentials"
            ),
        ),
        (r"\.git-credentials", in_url),
        (r"\.git/config", _git),
        (
            r"\.npmrc",
            _holding(r"_(?:authToken|auth|password)\s*=\s*(?!\$)\S{6,}", "an .npmrc with a token"),
        ),
        (
            r"\.kube/config",
            _holding(
                r"(?m)^\s*(?:token|client-key-data|password):\s*\S{6,}", "a cluster's credentials"
            ),
        ),
        (r"\.env(?:\.(?!example|sample|template|dist)[\w-]+)?", _env),
        (r"(?:pip\.conf|pip\.ini|uv\.toml|\.condarc|\.gitconfig|poetry\.toml)", in_url),
        (r"(?:requirements[\w.-]*\.(?:txt|in)|Pipfile(?:\.lock)?|direct_url\.json)", in_url),
        (r"etc/apt/(?:auth\.conf(?:\.d/.*)?|sources\.list(?:\.d/.*)?)", in_url),
        (
            r"(?:[._]netrc|etc/apt/auth\.conf(?:\.d/.*)?)",
            _holding(r"\bpassword\s+(?!\$|<)\S+", "a .netrc with a password"),
        ),
        (r"\.(?:cache/huggingface|huggingface)/token", _holding(r"\Ahf_", "a Hugging Face token")),
    )
)

_OF_A_PACKAGE: Final = re.compile(
    r"(?:.*/)?(?:(?:site|dist)-packages|usr/(?:lib/python3[\d.]*|share|src)|node_modules)/.*"
)
_ITS_TESTS: Final = re.compile(
    r"(?:.*/)?(?:[\w-]*tests?|testing|test_?data|fixtures|examples?|samples?|docs?|certdata)/.*"
)


_SHIPPED: Final = frozenset({"a private key"})
"""What packages ship for tests and proxies of their own, wherever in them it lies."""


def in_file(path: str, content: bytes) -> Sequence[Leak]:
    """What a file gives away.

    A key in the tests of a published package is everybody's and no finding; elsewhere in one it is
    not sure.
    """
    if not content or b"\0" in content[:_HEAD]:
        return []
    leaks = list(in_text(content))
    judges = [judge for pattern, judge in _FILES if pattern.fullmatch(path)]
    if judges:
        text = content.decode(errors="replace")
        leaks += [leak for judge in judges for leak in judge(text)]
    if leaks and _OF_A_PACKAGE.fullmatch(path):
        tests = _ITS_TESTS.fullmatch(path) is not None
        kept = [leak for leak in leaks if not (tests and leak.what in _SHIPPED)]
        leaks = [_published(leak) if tests or leak.what in _SHIPPED else leak for leak in kept]
    return list({leak.what: leak for leak in leaks}.values())


def _published(leak: Leak) -> Leak:
    return Leak(what=f"{leak.what} that came with a package", sure=False)
