"""No part of a secret is shown: of each kind, wherever a build leaves it, wherever it is cut."""

import random
import re
import shlex
import string
from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import unescape

import pytest
from rich.console import Console

from lab.coldstart.record import Layer
from lab.contract.model import RuleFinding, Verdict, Verdicts
from lab.contract.reports.machine import as_json, as_junit
from lab.contract.reports.terminal import render
from lab.contract.rules.entrypoint import judge_entry
from lab.contract.rules.secrets import judge_config, judge_layers
from lab.images.layers import credentials
from lab.images.layers.credentials import in_command, redacted, redacted_words
from lab.images.layers.saved import read
from lab.images.sizes import quoted
from lab.spec import Platform
from tests.unit.contract.makers import rule
from tests.unit.images.layers.archives import in_chunks, saved

ANY = string.ascii_letters + string.digits
BASE64 = f"{ANY}+/"
UPPER = string.ascii_uppercase + "234567"
STEP = "RUN /bin/sh -c "
PART = 7
"""So many characters of a secret in a row are a part of it."""


def made_up(prefix: str, length: int, alphabet: str = string.ascii_letters) -> str:
    """Opens nothing, and is in no file: a scanner of the repository finds nothing."""
    return prefix + "".join(random.Random(prefix).choices(alphabet, k=length))


KEY = "\n".join(made_up(f"{line}", 63, BASE64) for line in range(4))
TOKENS = {
    "a private key": f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----",
    "an AWS access key": made_up("AKIA", 16, UPPER),
    "a temporary AWS access key": made_up("ASIA", 16, UPPER),
    "an AWS secret access key": f"AWS_SECRET_ACCESS_KEY={made_up('', 40, BASE64)}",
    "a GitHub token": made_up("ghp_", 36),
    "another GitHub token": made_up("github_pat_", 300),
    "a GitLab token": made_up("glpat-", 20),
    "a Slack token": made_up("xoxb-123456789012-", 24),
    "a Hugging Face token": made_up("hf_", 34),
    "a PyPI token": made_up("pypi-AgE", 60),
    "an npm token": made_up("npm_", 36),
    "a Docker Hub token": made_up("dckr_pat_", 40),
    "an OpenAI key": f"{made_up('sk-', 30)}T3BlbkFJ{made_up('q', 30)}",
    "an Anthropic key": made_up("sk-ant-api03-", 95),
    "a Google API key": made_up("AIza", 35),
    "a Stripe key": made_up("sk_live_", 24),
    "an Azure storage key": f"AccountKey={made_up('', 86, BASE64)}==",
}
PASSWORDS = {
    "plain": "Xk29fjw8Qs",
    "in words": "correct9 horse battery staple",
    "with signs": "p@55:w/rd;9&x|y",
    "with quotes": "ab'cd\"ef9gh",
    "looks like a variable": "pa$$w0rdXY",
    "in lines": "line1one9\nline2two8\nline3three",
}
BY_TOKEN = (
    "RUN |1 HUB={} /bin/sh -c pip install --no-cache-dir numpy # buildkit",
    "ENV HUB={}",
    "LABEL org.example.hub={} org.example.kept=1",
    "ARG HUB={}",
    "RUN /bin/sh -c curl -H 'X-Key: {}' https://example.org/model > /model",
    "RUN /bin/sh -c pip install git+https://{}@git.example.org/x.git # buildkit",
    "RUN /bin/sh -c cat > /settings <<EOF\nfirst: 1\nkey: {}\nlast: 2\nEOF",
    "/bin/sh -c #(nop)  ENV HUB={}",
    "RUN /bin/sh -c " + "echo this is a step of many words; " * 2 + "echo {}",
)
BY_NAME = (
    "ENV DB_PASSWORD={}",
    "LABEL org.example.api-key={} org.example.kept=1",
    "ARG A=1 DB_PASSWORD={}",
    "RUN |2 A=1 DB_PASSWORD={} /bin/sh -c pip install numpy # buildkit",
    "RUN |2 DB_PASSWORD={} B=2 /bin/bash -o pipefail -c pip install numpy # buildkit",
)
IN_SHELL = (
    "RUN /bin/sh -c export PGPASSWORD={} && psql",
    "RUN /bin/sh -c tool --password {} install",
    "RUN /bin/sh -c tool --api-key={} install",
    "RUN /bin/sh -c cmake -DTOKEN={} .",
    "RUN /bin/sh -c npm config set //registry.example.org/:_authToken {}",
    "RUN /bin/sh -c curl -u me:{} https://example.org",
)


def commands() -> Iterator[tuple[str, str, str]]:
    """A kind, a secret of it, and a step of a build that holds it."""
    for kind, secret in TOKENS.items():
        yield from ((kind, secret, form.format(secret)) for form in BY_TOKEN)
    for kind, secret in PASSWORDS.items():
        yield from ((kind, secret, form.format(secret)) for form in BY_NAME)
        yield from ((kind, secret, form.format(shlex.quote(secret))) for form in IN_SHELL)
    for name in ("plain", "with signs", "looks like a variable"):
        secret = PASSWORDS[name]
        for where in ("https://me:{}@pypi.example.org/simple", "postgres://{}@db:5432/x"):
            url = where.format(secret if "me:" in where else f"app:{secret}")
            yield "in a URL", secret, f"RUN /bin/sh -c pip install -i {url} numpy # buildkit"
            yield "in a URL", secret, f"ENV PIP_INDEX_URL={url}"


OF_KIND: dict[str, list[tuple[str, str]]] = defaultdict(list)
for kind, of, step in commands():
    OF_KIND[kind].append((of, step))
EACH = pytest.mark.parametrize("held", OF_KIND.values(), ids=list(OF_KIND))


def parts(secret: str) -> set[str]:
    """What must not be seen of it; names and words that are no secret are left out."""
    for public in ("AWS_SECRET_ACCESS_KEY=", "AccountKey=", "-----BEGIN RSA PRIVATE KEY-----"):
        secret = secret.replace(public, "\n")
    secret = secret.replace("-----END RSA PRIVATE KEY-----", "")
    return {
        line[at : at + PART]
        for line in secret.splitlines()
        for at in range(max(1, len(line) - PART + 1))
        if len(line) >= PART
    }


def shown(secret: str, *texts: str) -> set[str]:
    """Which parts of it can be read in any of the texts, wherever they break their lines."""
    return {
        part for part in parts(secret) for text in texts if part in text or part in "".join(text)
    }


def reports(*findings: RuleFinding) -> Sequence[str]:
    """Terminal, JSON and JUnit of a check."""
    verdicts = Verdicts(image="me:1", platform=Platform.AMD64, findings=findings)
    console = Console(width=4000, record=True, file=None, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(render(verdicts))
    junit = as_junit(verdicts)
    whole = captured.get()
    return [whole, re.sub(r"\s+", " ", whole), as_json(verdicts), junit, unescape(junit)]


def test_every_format_that_is_found_is_tried_here() -> None:
    known = {what for what, _, _ in credentials._FORMATS}
    found = {leak.what for text in TOKENS.values() for leak in in_command(text)}
    assert known == found


@EACH
def test_nothing_of_a_secret_is_left_in_a_command(held: Sequence[tuple[str, str]]) -> None:
    for secret, command in held:
        assert shown(secret, redacted(command), quoted(command)) == set(), command
        assert in_command(redacted(command)) == []
        assert redacted(redacted(command)) == redacted(command)


@EACH
def test_no_report_of_a_check_shows_a_part_of_it(held: Sequence[tuple[str, str]]) -> None:
    leaking = {"root/.git-credentials": b"https://me:s3cr3tpass@git.example.org"}
    for secret, command in held:
        image = read(in_chunks(saved([leaking], commands=[command])))
        verdict, seen, places = judge_layers(image)
        assert verdict is Verdict.FAIL
        config = judge_config([command.removeprefix("ENV ")], {"a": command}, [command])
        entry = judge_entry(["/bin/sh", "-c", command.removeprefix(STEP)], ["serve"])
        findings = [
            RuleFinding(rule=rule("secrets-layers"), verdict=verdict, seen=seen, data=places),
            RuleFinding(rule=rule("secrets-config"), verdict=config[0], seen=config[1]),
        ]
        if command.startswith(STEP):
            findings.append(RuleFinding(rule=rule("entry"), verdict=entry[0], seen=entry[1]))
        assert shown(secret, *reports(*findings)) == set(), command


@EACH
def test_nor_does_the_record_of_a_run_of_an_earlier_version(
    held: Sequence[tuple[str, str]],
) -> None:
    for secret, command in held:
        one_line = " ".join(command.split())
        layer = Layer(compressed_bytes=1, unpacked_bytes=1, created_by=one_line)
        assert shown(secret.replace("\n", " "), layer.created_by) == set(), command


@pytest.mark.parametrize("token", [one for one in TOKENS.values() if " " not in one])
def test_what_an_excerpt_of_somebody_else_has_left_of_a_token_is_hidden_too(token: str) -> None:
    if "=" not in token:
        for length in range(len(token) // 2, len(token)):
            assert shown(token[:length], redacted(f"RUN login {token[:length]}…")) == set()


def test_a_word_of_a_command_is_hidden_whole() -> None:
    said = redacted_words(["serve", "--password", PASSWORDS["in words"], "--workers", "2"])
    assert shown(PASSWORDS["in words"], said) == set()
    assert said.endswith("--workers 2")
    assert redacted_words(["sh", "-c", "python3 serve.py"]) == "sh -c python3 serve.py"


@pytest.mark.parametrize(
    "command",
    [
        "RUN apt-get update && apt-get install -y --no-install-recommends libsecret-1-0 curl",
        "RUN pip install --no-cache-dir tiktoken transformers==4.46 hf_transfer",
        "RUN --mount=type=secret,id=pip pip install -r requirements.txt",
        "RUN pip install git+https://git.example.org/x.git@v1.0",
        "RUN curl -fsSL https://example.org:8080/key.gpg -o /etc/apt/keyrings/x.gpg",
        "ENV PATH=/opt/venv/bin:/usr/bin TOKENIZERS_PARALLELISM=false",
        'ENTRYPOINT ["python3", "/serve.py"]',
        "COPY --from=build /opt/venv /opt/venv",
        "RUN docker login --password-stdin registry.example.org",
    ],
)
def test_a_command_without_a_secret_is_shown_as_it_is(command: str) -> None:
    assert redacted(command) == command
