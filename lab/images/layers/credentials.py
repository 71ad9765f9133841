"""What gives a secret away: patterns of well-known formats, names of variables and of files.

Nothing here returns the secret itself, only what kind it is: findings go into CI logs.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Something that gives a secret away."""

    what: str
    sure: bool = True
    """Whether it is a secret by its very form, and not only by its name or place."""


_BEFORE: Final = r"(?<![A-Za-z0-9+/_-])"
_AFTER: Final = r"(?![A-Za-z0-9+/_-])"
_KEY_PATTERN: Final = (
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----"
    # What a key is made of must follow: program text that only looks for one is none.
    r"(?:\s|\\r|\\n)+(?:[A-Za-z-]+: [^\n]*\s+)*[A-Za-z0-9+/=]{40}"
)
_KEY_VALUE: Final = r"\s{0,4}[\"']?\s{0,4}[:=]\s{0,4}[\"']?[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])"

_FORMATS: Final = tuple(
    (what, marker.encode(), re.compile(pattern.encode()))
    for what, marker, pattern in (
        ("a private key", "PRIVATE KEY", _KEY_PATTERN),
        ("an AWS access key", "AKIA", rf"{_BEFORE}AKIA[A-Z2-7]{{16}}{_AFTER}"),
        ("a temporary AWS access key", "ASIA", rf"{_BEFORE}ASIA[A-Z2-7]{{16}}{_AFTER}"),
        *(
            ("an AWS secret access key", name, rf"{name}{_KEY_VALUE}")
            for name in ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY")
        ),
        *(
            ("a GitHub token", f"gh{kind}_", rf"{_BEFORE}gh{kind}_[A-Za-z0-9]{{36,255}}{_AFTER}")
            for kind in "pousr"
        ),
        ("a GitHub token", "github_pat_", rf"{_BEFORE}github_pat_[A-Za-z0-9_]{{60,255}}"),
        ("a GitLab token", "glpat-", rf"{_BEFORE}glpat-[A-Za-z0-9_-]{{20,}}"),
        ("a Slack token", "xox", rf"{_BEFORE}xox[abeprs]-[0-9]{{6,}}-[A-Za-z0-9-]{{10,}}"),
        ("a Hugging Face token", "hf_", rf"{_BEFORE}hf_[A-Za-z]{{34}}{_AFTER}"),
        ("a PyPI token", "pypi-AgE", rf"{_BEFORE}pypi-AgE[A-Za-z0-9_-]{{50,}}"),
        ("an npm token", "npm_", rf"{_BEFORE}npm_[A-Za-z0-9]{{36}}{_AFTER}"),
        ("a Docker Hub token", "dckr_pat_", rf"{_BEFORE}dckr_pat_[A-Za-z0-9_-]{{27}}"),
        ("an OpenAI key", "T3BlbkFJ", rf"{_BEFORE}sk-[A-Za-z0-9_-]{{20,}}T3BlbkFJ[\w-]{{20,}}"),
        ("an Anthropic key", "sk-ant-", rf"{_BEFORE}sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{{80,}}"),
        ("a Google API key", "AIza", rf"{_BEFORE}AIza[0-9A-Za-z_-]{{35}}{_AFTER}"),
        ("a Stripe key", "_live_", rf"{_BEFORE}[sr]k_live_[0-9A-Za-z]{{24,}}"),
        ("an Azure storage key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    )
)
"""What it is, a part of it that is searched for first, a hundred times as fast as the pattern, and
the pattern."""

_PASSWORD_IN_URL: Final = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"$<{]*:(?P<secret>[^\s/:@'\"$<{%*][^\s/@'\"]*)@[\w\[]"
)
_ENCODED_IN_URL: Final = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"$<{]*:(?P<secret>%[0-9A-Fa-f]{2}[^\s/@'\"]*)@[\w\[]"
)
_SAMPLES: Final = (b"EXAMPLE", b"example", b"XXXX", b"xxxx")
_FEWEST_DISTINCT: Final = 6
"""A made-up key repeats itself; 16 letters of a real one do not."""

_SECRET_WORDS: Final = frozenset(
    {"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "SECRETS", "TOKEN", "APIKEY", "CREDENTIALS"}
)
_SECRET_PAIRS: Final = (
    ("API", "KEY"),
    ("ACCESS", "KEY"),
    ("PRIVATE", "KEY"),
    ("AUTH", "KEY"),
    ("ENCRYPTION", "KEY"),
)
_PUBLIC_WORDS: Final = frozenset(
    {"ID", "FILE", "PATH", "URL", "URI", "NAME", "DIR", "ARN", "TYPE", "STDIN"}
)
"""Last words of names that only say where a secret is, or of which kind."""

_HARMLESS: Final = re.compile(
    r"(?:|true|false|yes|no|on|off|none|null|default|changeme|test|dummy|[\d.]+|/.*|\.\.?/.*"
    r"|\$.*|<.*>|\{.*|\*+|x+)",
    re.IGNORECASE,
)
_ASSIGNED: Final = re.compile(
    r"(?<![\w$-])(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"';&|]*)"
)
_SHORTEST: Final = 6
_STARS: Final = "***"

# What is hidden, which is more than what is found.
_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
)
_CUT_SHORT: Final = re.compile(
    r"(?:AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|hf_|pypi-|npm_|dckr_pat_|sk-|AIza"
    r"|[sr]k_live_|AccountKey=)[\w+/=-]*(?=(?:…|\.\.\.)\Z)"
)
"""What another's excerpt has left of a token."""
_USER_IN_URL: Final = re.compile(
    # Up to the last @ of the word, which a password may hold; but a port is none.
    r"://(?P<user>[^\s/:@'\"]*:(?!\d+(?:/|\s|$))[^\s'\"]*|[^\s/:@'\"]{12,})@"
)
_LIKE_A_TOKEN: Final = 12
_VALUE: Final = r"""(?:"(?:\\.|[^"\\])*(?:"|\Z)|'[^']*(?:'|\Z)|(?:\\.|[^\s"'\\])+)+"""
_NAME: Final = (
    r"(?<![\w.])(?P<name>(?=[\w.-]{0,80}(?i:pass|secret|token|key|credential))[A-Za-z_][\w.-]*)"
)
_THEN: Final = rf"(?P<value>{_VALUE})"
_NAMED: Final = re.compile(rf"(?P<before>{_NAME}=){_THEN}")
_FLAG: Final = re.compile(rf"(?P<before>(?<!\S)--?{_NAME}[ \t=]+(?!-)){_THEN}")
_FIELD: Final = re.compile(rf"(?P<before>{_NAME}[\"']?(?:\s*:\s*|[ \t]+)(?![&|;<>=-])){_THEN}")
"""Of YAML and JSON, of a .netrc, of ``npm config set NAME VALUE``."""
_AUTHORIZATION: Final = re.compile(
    r"(?i)(\b(?:authorization\s*:\s*(?:[a-z]+\s+)?|bearer\s+|[\"'](?:auth|identitytoken)[\"']\s*:\s*))"
    r"[^\s,}]+"
)
_LOGIN: Final = re.compile(rf"((?<!\S)(?:-u|--user)[ =]?[^\s:\"'=]+:){_VALUE}")
_SETS: Final = re.compile(r"(?:/bin/sh -c #\(nop\)\s+)?(?:ENV|ARG|LABEL|RUN (?P<arguments>\|\d+)) ")
_SHELL: Final = re.compile(r" /(?:usr/)?bin/\w*sh (?:-[\w-]+ (?:pipefail )?)*-\w*c ")
_SECRET_NAME: Final = re.compile(
    r"PASS(?:WORD|WD|PHRASE)|SECRET|TOKEN(?!I)|APIKEY|CREDENTIAL"
    r"|(?:API|ACCESS|PRIVATE|AUTH|ENCRYPTION|ACCOUNT)_?KEY"
)


def in_text(text: bytes) -> Sequence[Leak]:
    """The kinds of secrets in a text, each once."""
    found = {
        what
        for what, marker, pattern in _FORMATS
        if marker in text and any(_real(hit) for hit in pattern.finditer(text))
    }
    return [Leak(what=what) for what in sorted(found)]


def in_url(text: str) -> Sequence[Leak]:
    """URLs that carry a password: of an index, a repository, a proxy, a database."""
    found = any(
        not _HARMLESS.fullmatch(hit["secret"])
        for pattern in (_PASSWORD_IN_URL, _ENCODED_IN_URL)
        for hit in pattern.finditer(text)
    )
    return [Leak(what="a URL with a password")] if found else []


def in_variable(name: str, value: str) -> Sequence[Leak]:
    """What a variable or a label gives away by its form or its name."""
    value = value.strip().strip("\"'")
    by_form = [*in_text(f"{name}={value}".encode()), *in_url(value)]
    if by_form:
        return by_form
    if not names_a_secret(name) or _HARMLESS.fullmatch(value) or len(value) < _SHORTEST:
        return []
    random = any(one.isdigit() for one in value) and any(one.isalpha() for one in value)
    sure = random and not re.search(r"\s", value)
    return [Leak(what="a value that its name calls a secret", sure=sure)]


def names_a_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a secret: ``DB_PASSWORD``, ``API_KEY``."""
    words = _words(name)
    if not words or words[-1] in _PUBLIC_WORDS:
        return False
    pairs = set(pairwise(words))
    return bool(_SECRET_WORDS & set(words)) or any(pair in pairs for pair in _SECRET_PAIRS)


def assignments(command: str) -> Iterator[tuple[str, str]]:
    """``NAME=value`` in a command, build arguments included."""
    for hit in _ASSIGNED.finditer(command):
        yield hit["name"], hit["value"].strip("\"'")


def in_command(command: str) -> Sequence[Leak]:
    """What a step of an image's history gives away."""
    found = [*in_text(command.encode()), *in_url(command)]
    for name, value in assignments(command):
        found += in_variable(name, value)
    return list({leak.what: leak for leak in reversed(found)}.values())


def redacted(text: str) -> str:
    """The text with everything hidden that might be a secret: for quoting commands.

    It hides more than ``in_command`` finds, and where it cannot be told where a secret ends, all
    that follows. Cut it afterwards, never before: half a secret is not known as one.
    """
    text = _KEY_BLOCK.sub(_STARS, text)
    for _, _, known in _FORMATS:
        text = known.sub(_STARS.encode(), text.encode()).decode(errors="replace")
    text = _CUT_SHORT.sub(_STARS, text)
    # A token may stand where the user's name does.
    text = _USER_IN_URL.sub(lambda hit: f"://{_user(hit['user'])}@", text)
    text = _AUTHORIZATION.sub(rf"\1{_STARS}", text)
    text = _LOGIN.sub(rf"\1{_STARS}", text)
    text = _unquoted(text)
    for form, secret in (
        (_NAMED, _may_name_a_secret),
        (_FLAG, _may_name_a_secret),
        (_FIELD, names_a_secret),
    ):
        text = _without_values(form, secret, text)
    text = re.sub(rf"{re.escape(_STARS)}[^\s\"'@,;&|)]+", _STARS, text)
    return f"{text.split(maxsplit=1)[0]} {_STARS}" if in_command(text) else text


def redacted_words(words: Sequence[str]) -> str:
    """The same of a command in words, of which each may hold blanks; on one line."""
    said = shlex.join(words)
    hidden = redacted(said)
    return " ".join(words) if hidden == said else hidden


def _user(user: str) -> str:
    name, colon, _ = user.partition(":")
    return f"{name}:{_STARS}" if colon and len(name) < _LIKE_A_TOKEN else _STARS


def _unquoted(text: str) -> str:
    """A step that sets variables has lost their quotes: where a value ends cannot be told."""
    step = _SETS.match(text)
    if step is None:
        return text
    shell = _SHELL.search(text)
    end = shell.start() if shell and step["arguments"] else len(text)
    for hit in _NAMED.finditer(text, step.end(), end):
        if _may_name_a_secret(hit["name"]):
            return f"{text[: hit.start('value')]}{_STARS}{text[end:]}"
    return text


def _without_values(form: re.Pattern[str], secret: Callable[[str], bool], text: str) -> str:
    """Values after names that are secret, also where they are in the value of another."""

    def hide(hit: re.Match[str]) -> str:
        if secret(hit["name"]):
            return f"{hit['before']}{_STARS}"
        return f"{hit['before']}{_without_values(form, secret, hit['value'])}"

    return form.sub(hide, text)


def _may_name_a_secret(name: str) -> bool:
    words = _words(name)
    public = not words or words[-1] in _PUBLIC_WORDS
    return not public and _SECRET_NAME.search("_".join(words)) is not None


def _real(hit: re.Match[bytes]) -> bool:
    """Whether it is none of the made-up ones that documentation is full of."""
    text = hit[0]
    if any(sample in text for sample in _SAMPLES):
        return False
    return len(set(text[-16:])) >= _FEWEST_DISTINCT


def _words(name: str) -> Sequence[str]:
    """``dbPassword`` is ``DB`` and ``PASSWORD``."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^A-Z0-9]+", separated.upper()) if word]
