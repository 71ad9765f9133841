import stat
import sys
import tomllib
from pathlib import Path

import pytest

from lab.engine.install.apt import deb822
from lab.images.hostfiles import (
    apt_lines,
    ca_bundle,
    host_files,
    host_sources,
    parse_pip_settings,
    pip_conf,
    proxies,
    public_sources,
    uv_toml,
)
from lab.process import run

LISTED = """\
:env:.default-timeout='180'
:env:.find-links='/opt/wheels'
global.extra-index-url='file:///opt/simple https://other.example/simple'
global.index-url='https://index.example/simple'
global.timeout='5'
install.index-url='https://install.example/simple'
global.trusted-host='index.example other.example'
list.format='json'
"""


def test_pips_environment_outweighs_its_install_section_and_that_the_global_one() -> None:
    settings = parse_pip_settings(LISTED)
    assert settings["timeout"] == "180"
    assert settings["index-url"] == "https://install.example/simple"
    assert "format" not in settings


def test_a_build_gets_the_indexes_it_can_reach_and_no_file_of_this_machine() -> None:
    conf = pip_conf(parse_pip_settings(LISTED))
    assert "https://other.example/simple" in conf
    assert "file:" not in conf
    assert "/opt/wheels" not in conf
    assert "trusted-host = index.example\n    other.example" in conf


def test_uv_is_told_what_pip_knows() -> None:
    settings = {**parse_pip_settings(LISTED), "proxy": "http://proxy:3128"}
    remote = tomllib.loads(uv_toml(settings, reached=lambda word: word.startswith("https://")))
    assert remote["index-url"] == "https://install.example/simple"
    assert remote["extra-index-url"] == ["https://other.example/simple"]
    assert remote["allow-insecure-host"] == ["index.example", "other.example"]
    assert remote["http-proxy"] == remote["https-proxy"] == "http://proxy:3128"
    assert "find-links" not in remote
    here = tomllib.loads(uv_toml(settings, reached=lambda _: True))
    assert here["find-links"] == ["/opt/wheels"]
    assert "file:///opt/simple" in here["extra-index-url"]


def test_uv_takes_what_it_is_told(tmp_path: Path) -> None:
    settings = {**parse_pip_settings(LISTED), "proxy": "http://proxy:3128"}
    file = tmp_path / "uv.toml"
    file.write_text(uv_toml(settings, reached=lambda _: True))
    run([sys.executable, "-m", "uv", "--config-file", file, "pip", "list"])


def test_no_settings_are_an_empty_section() -> None:
    assert pip_conf({}) == "[global]\n"


def test_the_bundle_named_for_pip_is_preferred(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours.pem", tmp_path / "other.pem"
    ours.touch()
    other.touch()
    env = {"PIP_CERT": str(ours), "SSL_CERT_FILE": str(other)}
    assert ca_bundle(env, {"cert": str(other)}) == ours
    assert ca_bundle({}, {"cert": str(other)}) == other


def test_a_bundle_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.touch()
    env = {"PIP_CERT": str(tmp_path / "gone.pem"), "SSL_CERT_FILE": str(there)}
    assert ca_bundle(env, {}) == there


def test_a_proxy_on_the_loopback_is_kept_from_containers() -> None:
    found = proxies({"https_proxy": "http://127.0.0.1:3128", "HTTP_PROXY": "http://proxy:3128"})
    assert found == {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "", "NO_PROXY": ""}


def test_what_is_handed_to_a_build_is_readable_by_this_user_only_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "lab.images.hostfiles.pip_settings",
        lambda: {"index-url": "https://user:word@index.example/simple"},
    )
    with host_files({}) as files:
        pip, uv = Path(files["PIP_FILE"]), Path(files["UV_FILE"])
        assert 'index-url = "https://user:word@index.example/simple"' in uv.read_text()
        assert stat.S_IMODE(uv.stat().st_mode) == 0o600
        assert pip.read_text().endswith("index-url = https://user:word@index.example/simple\n")
        assert stat.S_IMODE(pip.stat().st_mode) == 0o600
    assert not pip.exists()
    assert not uv.exists()


def test_a_debian_machines_own_mirror_serves_the_images_release(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/debian-security bookworm-security main\n"
    )
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    lines = apt_lines(host_sources(release, etc=tmp_path))
    assert [line.split("] ")[1] for line in lines] == [
        "http://mirror.example/debian trixie main",
        "http://mirror.example/debian trixie-updates main",
        "http://mirror.example/debian-security trixie-security main",
    ]


def test_a_machine_that_is_no_debian_uses_the_public_mirror(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/ubuntu noble main\n")
    release = {"ID": "ubuntu", "VERSION_CODENAME": "noble"}
    assert host_sources(release, etc=tmp_path) == public_sources()


def test_sources_are_signed_by_debians_keys() -> None:
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" in deb822(public_sources())
