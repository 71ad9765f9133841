from pathlib import Path

import pytest

from lab.engine.install.apt import deb822, official, parse_deb822, parse_one_line

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
STANZAS = f"""\
# the distribution
Types: deb
# a comment within
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: {KEYRING}

Types: deb deb-src
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
VENDORS = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/d.asc] https://docker.example/debian bookworm stable
deb [signed-by=/usr/share/keyrings/hashicorp-archive.gpg] https://h.example bookworm main
deb https://deb.nodesource.example/node_20.x nodistro main
deb cdrom:[Debian]/ bookworm main
deb-src http://mirror.example/debian bookworm main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_the_machine_s_own_mirror_is_taken_and_vendors_are_left_out(etc: Path) -> None:
    (etc / "sources.list").write_text(VENDORS)
    (etc / "sources.list.d/debian.sources").write_text(STANZAS)
    first, second = official("bookworm", "debian", etc=etc)
    assert first.uri == "http://mirror.example/debian"
    assert first.suites == ["bookworm", "bookworm-updates"]
    assert first.signed_by == KEYRING
    assert second.suites == ["bookworm-security"]


def test_the_one_line_format_is_read_with_its_options(etc: Path) -> None:
    (etc / "sources.list").write_text(
        "# deb http://old.example/debian bookworm main\n"
        "deb http://mirror.example/ubuntu noble main universe # here\n"
        "deb http://mirror.example/ubuntu noble-updates main universe\n"
    )
    first, second = official("noble", "ubuntu", etc=etc)
    assert (first.uri, first.suites) == ("http://mirror.example/ubuntu", ["noble"])
    assert first.components == ["main", "universe"]
    assert first.signed_by is None
    assert second.suites == ["noble-updates"]


def test_options_of_a_line_are_understood() -> None:
    (source,) = parse_one_line(
        f"deb [ arch=amd64 signed-by={KEYRING} ] http://m/debian trixie main\n"
    )
    assert source.signed_by == KEYRING
    assert source.uri == "http://m/debian"


def test_a_key_inlined_in_a_stanza_belongs_to_a_vendor(etc: Path) -> None:
    inlined = STANZAS.replace(
        f"Signed-By: {KEYRING}", "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ"
    )
    (etc / "sources.list.d/x.sources").write_text(inlined)
    (source,) = official("bookworm", "debian", etc=etc)
    assert source.uri == "http://deb.debian.org/debian"


@pytest.mark.parametrize("family", ["debian", "ubuntu"])
def test_without_sources_the_documented_default_stands_in(etc: Path, family: str) -> None:
    (source,) = official("x", family, etc=etc)
    assert source.uri.endswith(f"/{family}")
    assert source.suites == ["x", "x-updates"]


def test_what_is_written_reads_back_the_same(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(STANZAS)
    ours = official("bookworm", "debian", etc=etc)
    assert list(parse_deb822(deb822(ours))) == ours
