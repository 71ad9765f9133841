"""What counts as a secret, what does not, and that none is ever repeated."""

import random
import string
from collections.abc import Mapping

import pytest

from lab.contract.model import Verdict
from lab.contract.rules.secrets import judge_config, judge_layers
from lab.images.layers.credentials import in_command, in_text, in_url, in_variable, redacted
from lab.images.layers.saved import Saved, SavedLayer, read
from lab.images.layers.secretfiles import in_file
from tests.unit.images.layers.archives import in_chunks, saved

UPPER = string.ascii_uppercase + "234567"
BASE64 = string.ascii_letters + string.digits + "+/"


def made_up(prefix: str, length: int, alphabet: str = string.ascii_letters) -> str:
    """Never a secret, and never in this file: a scanner of the repository finds nothing."""
    return prefix + "".join(random.Random(prefix).choices(alphabet, k=length))


AWS_ID = made_up("AKIA", 16, UPPER)
AWS_KEY = made_up("", 40, BASE64)
GITHUB = made_up("ghp_", 36)
PRIVATE_KEY = (
    "-----BEGIN " + "RSA PRIVATE KEY-----\n" + made_up("MII", 61, BASE64) + "\n-----END ..."
)
FORMATS: Mapping[str, str] = {
    "an AWS access key": AWS_ID,
    "a temporary AWS access key": made_up("ASIA", 16, UPPER),
    "an AWS secret access key": f"aws_secret_access_key = {AWS_KEY}",
    "a GitHub token": GITHUB,
    "a GitLab token": made_up("glpat-", 20),
    "a Slack token": made_up("xoxb-123456789012-", 24),
    "a Hugging Face token": made_up("hf_", 34),
    "a PyPI token": made_up("pypi-AgE", 60),
    "an npm token": made_up("npm_", 36),
    "a Google API key": made_up("AIza", 35),
    "a Stripe key": made_up("sk_live_", 24),
    "a private key": PRIVATE_KEY,
}


@pytest.mark.parametrize(("what", "text"), FORMATS.items(), ids=str)
def test_a_token_of_a_well_known_format_is_found_in_any_text(what: str, text: str) -> None:
    around = f'# settings\nkey: "{text}"\nmore: 1\n'
    assert [leak.what for leak in in_text(around.encode())] == [what]


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIA" + "A" * 16,
        "-----BEGIN RSA PRIVATE KEY-----",
        'if "-----BEGIN PRIVATE KEY-----" in text:\n    return load(text)',
        "sha256 3f2a" + AWS_ID + "9c",
        "hf_hub_download(repo_id=name)",
        "npm_config_registry=https://registry.npmjs.org",
        "https://index.example.org/simple",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert in_text(text.encode()) == []
    assert in_url(text) == []


def test_a_url_gives_itself_away_by_its_password_only() -> None:
    assert in_url("--index-url https://reader:s3cr3tpass@pypi.example.org/simple")
    assert in_url("postgres://app:Zx81%40home@db:5432/x")
    assert in_url("http://user:%73ecret1@proxy:3128")
    for harmless in (
        "https://user@host/",
        "https://host:8080/a@b",
        "https://user:$PASSWORD@host/",
        "https://user:${PASSWORD}@host/",
        "https://<user>:<password>@host/",
        "http://[::1]:8080/",
    ):
        assert in_url(harmless) == [], harmless


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter2hunter2"),
        ("API_KEY", "0a1b2c3d4e5f"),
        ("dbPassword", "hunter2hunter2"),
        ("SOME_TOKEN", GITHUB),
        ("PIP_INDEX_URL", "https://reader:s3cr3tpass@pypi.example.org/simple"),
        ("ANYTHING", AWS_ID),
        ("AWS_SECRET_ACCESS_KEY", AWS_KEY),
    ],
)
def test_a_variable_gives_itself_away_by_its_name_or_its_value(name: str, value: str) -> None:
    assert any(leak.sure for leak in in_variable(name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin:/bin"),
        ("GPG_KEY", "7169605F62C751356D054A26A821E680E5FA6305"),
        ("PYTHON_SHA256", "ab42" * 16),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("MAX_TOKEN", "4096"),
        ("DB_PASSWORD", ""),
        ("DB_PASSWORD", "$DB_PASSWORD"),
        ("DB_PASSWORD", "changeme"),
        ("PASSWORD_FILE", "/run/secrets/password"),
        ("SECRET_NAME", "prod/model1/key"),
        ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:x1"),
        ("KEYBOARD", "us-intl1"),
        ("LAB_ORT_LIBRARY", "/usr/lib/libonnxruntime.so"),
    ],
)
def test_variables_that_every_image_has_are_left_alone(name: str, value: str) -> None:
    assert in_variable(name, value) == []


def test_a_build_argument_stays_in_the_history_and_is_found_there() -> None:
    command = f"RUN |1 PIP_TOKEN={GITHUB} /bin/sh -c pip install . # buildkit"
    assert [leak.what for leak in in_command(command)] == ["a GitHub token"]
    assert in_command("RUN /bin/sh -c pip install --no-cache-dir numpy==2.0 # buildkit") == []


def test_nothing_of_a_secret_is_left_in_a_quoted_command() -> None:
    command = (
        f"RUN |2 TOKEN={GITHUB} DB_PASSWORD='two words' AWS_SECRET_ACCESS_KEY={AWS_KEY} "
        "/bin/sh -c pip install -i https://reader:s3cr3tpass@pypi.example.org/simple "
        "git+https://0123456789abcdef@git.example.org/x"
    )
    said = redacted(command)
    for secret in (GITHUB, "two words", AWS_KEY, "s3cr3tpass", "0123456789abcdef"):
        assert secret not in said
    assert "pip install -i https://reader:***@pypi.example.org/simple" in said


FILES: Mapping[str, str] = {
    "root/.aws/credentials": f"[default]\naws_access_key_id = x\naws_secret_access_key = {AWS_KEY}",
    "root/.netrc": "machine pypi.example.org login reader password s3cr3tpass",
    "home/me/.pypirc": "[pypi]\nusername = me\npassword = s3cr3tpass\n",
    "root/.docker/config.json": '{"auths": {"registry.example.org": {"auth": "bWU6czNjcjN0"}}}',
    "root/.git-credentials": "https://me:s3cr3tpass@git.example.org",
    "opt/app/.npmrc": "//registry.npmjs.org/:_authToken=0123456789abcdef",
    "opt/app/.env": "DEBUG=1\nDB_PASSWORD=hunter2hunter2\n",
    "opt/app/.env.production": "API_KEY=0a1b2c3d4e5f\n",
    "etc/pip.conf": "[global]\nindex-url = https://me:s3cr3tpass@pypi.example.org/simple\n",
    "opt/app/.git/config": "[remote]\nurl = https://me:s3cr3tpass@git.example.org/x\n",
    "opt/app/requirements.txt": "-i https://me:s3cr3tpass@pypi.example.org/simple\nnumpy\n",
    "etc/apt/auth.conf": "machine apt.example.org login me password s3cr3tpass\n",
    "root/.ssh/id_rsa": PRIVATE_KEY,
    "opt/app/service-account.json": '{"private_key": "' + PRIVATE_KEY.replace("\n", "\\n") + '"}',
}


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_holds_a_secret_by_its_place_is_found(path: str) -> None:
    leaks = in_file(path, FILES[path].encode())
    assert leaks
    assert all(leak.sure for leak in leaks)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("etc/pip.conf", "[global]\nindex-url = https://pypi.example.org/simple\n"),
        ("opt/app/.env.example", "DB_PASSWORD=hunter2hunter2\n"),
        ("root/.netrc", "machine x login y password $PASSWORD"),
        ("root/.docker/config.json", '{"auths": {"registry.example.org": {}}}'),
        ("opt/app/.env", ""),
        ("usr/share/doc/requests/README", "https://user:pass1234@example.org/"),
        ("usr/bin/tool", "\x7fELF\0\0" + AWS_ID),
    ],
)
def test_a_file_of_that_place_without_a_secret_is_left_alone(path: str, content: str) -> None:
    assert in_file(path, content.encode()) == []


def test_what_came_with_a_package_or_may_be_harmless_is_not_sure() -> None:
    key = PRIVATE_KEY.encode()
    shipped = "usr/lib/python3/dist-packages/moto/ca.key"
    assert [leak.sure for leak in in_file(shipped, key)] == [False]
    token = f"token = '{GITHUB}'".encode()
    tested = "opt/venv/lib/python3.13/site-packages/x/tests/test_login.py"
    assert [leak.sure for leak in in_file(tested, token)] == [False]
    assert [leak.sure for leak in in_file("opt/app/.env", b"DEBUG=1\n")] == [False]
    assert [leak.sure for leak in in_file("opt/app/.git/config", b"[core]\n")] == [False]


@pytest.mark.parametrize(
    "path",
    [
        "opt/venv/lib/python3.13/site-packages/tornado/test/test.key",
        "usr/share/doc/libxmlsec1-dev/examples/rsakey.pem",
    ],
)
def test_a_key_in_the_tests_of_a_published_package_is_everybodys(path: str) -> None:
    assert in_file(path, PRIVATE_KEY.encode()) == []


def test_a_package_of_ones_own_is_not_excused() -> None:
    path = "opt/venv/lib/python3.13/site-packages/ours/settings.py"
    assert all(leak.sure for leak in in_file(path, f"KEY = '{GITHUB}'".encode()))


def test_a_secret_in_a_deleted_layer_is_told_with_layer_path_and_where_it_was_removed() -> None:
    layers = [
        {"bin/sh": b"#!"},
        {"root/.aws/credentials": FILES["root/.aws/credentials"].encode()},
        {"root/.wh..aws": b""},
    ]
    image = read(in_chunks(saved(layers, commands=["FROM", f"COPY {GITHUB} /", "RUN rm"])))
    verdict, seen, places = judge_layers(image)
    assert verdict is Verdict.FAIL
    assert "/root/.aws/credentials in layer 2 of 3" in seen
    assert "removed by layer 3 and still there" in seen
    assert (places[0]["layer"], places[0]["removed_by_layer"]) == (2, 3)
    assert AWS_KEY not in repr((seen, places))
    assert GITHUB not in repr((seen, places))


def test_only_unsure_leaks_warn_and_many_are_counted() -> None:
    path = "usr/lib/python3/dist-packages/moto/ca.key"
    image = read(in_chunks(saved([{f"{path}{n}": PRIVATE_KEY.encode() for n in range(9)}])))
    verdict, seen, places = judge_layers(image)
    assert verdict is Verdict.WARN
    assert "and 4 more" in seen
    assert len(places) == 9


def test_no_leak_is_a_pass() -> None:
    assert judge_layers(Saved(config={}, layers=[SavedLayer()]))[0] is Verdict.PASS
    assert judge_config(["PATH=/bin"], {"a": "b"}, ["COPY . /"])[0] is Verdict.PASS


def test_the_configuration_is_told_by_name_and_an_env_step_only_once() -> None:
    verdict, seen = judge_config(
        [f"HUB_TOKEN={GITHUB}"],
        {"org.example.api-key": "0a1b2c3d4e5f"},
        [f"ENV HUB_TOKEN={GITHUB}", f"RUN |1 T={AWS_ID} /bin/sh -c true"],
    )
    assert verdict is Verdict.FAIL
    assert seen.count("HUB_TOKEN") == 1
    assert "LABEL org.example.api-key" in seen
    assert "step 2 of the build history" in seen
    assert GITHUB not in seen
    assert AWS_ID not in seen
