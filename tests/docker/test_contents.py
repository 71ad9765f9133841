"""What an image holds and imports, read of images that the engine built."""

import secrets
from collections.abc import Iterator

import pytest

from lab.advice.contents import Contents, EntryKind
from lab.advice.image.read import read_contents
from lab.advice.imports import import_times
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.images.base import ensure_base
from lab.process import run
from lab.progress import Progress
from lab.spec import LABEL, Platform

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("contents")]

SERVER = """\
import http.server, slow.inner
class Ping(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer(("", 8080), Ping).serve_forever()
"""
DOCKERFILE = f"""
FROM BASE
LABEL {LABEL}=true
RUN mkdir -p /srv/slow && echo 'import time; time.sleep(0.2)' > /srv/slow/__init__.py && \\
    touch /srv/slow/inner.py /srv/gone && ln /srv/slow/inner.py /srv/other-name && \\
    mkfifo /srv/pipe && touch "$(printf '/srv/caf\\351')" && head -c 300000 /dev/zero > /srv/zero
RUN rm /srv/gone /srv/zero && mv /usr/share/zoneinfo /usr/share/moved && \\
    ln -s moved /usr/share/zoneinfo
WORKDIR /srv
COPY <<'END' /srv/server.py
SERVER
END
ENTRYPOINT ["/bin/sh", "-c", "exec python3 /srv/server.py"]
"""


@pytest.fixture(scope="module")
def ref(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[str]:
    base = ensure_base(platform, engine, progress).ref
    name = f"inference-lab-test/contents:{secrets.token_hex(4)}"
    run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": "", "BUILDX_BUILDER": "default"},
        input_text=DOCKERFILE.replace("BASE", base).replace("SERVER\n", SERVER),
    )
    yield name
    engine.client.remove_image(name)


@pytest.fixture(scope="module")
def found(engine: DockerEngine, ref: str) -> Contents:
    return read_contents(engine, ref)


def test_names_are_as_a_container_sees_them(
    engine: DockerEngine, ref: str, found: Contents
) -> None:
    told = run(
        ["docker", "run", "--rm", "--entrypoint", "find", ref, "/usr", "/srv", "-print0"],
        env={"DOCKER_HOST": engine.address},
    ).stdout
    seen = {path for path in found.entries if path.startswith(("/usr", "/srv"))}
    plain = {path for path in seen if path.isprintable() and path.isascii()}
    assert {path for path in told.split("\0") if path.isascii()} - {""} == plain


def test_odd_names_links_and_pipes_are_told(found: Contents) -> None:
    odd = b"/srv/caf\xe9".decode(errors="surrogateescape")
    assert found.entries[odd].kind is EntryKind.FILE
    assert found.entries["/srv/pipe"].kind is EntryKind.OTHER
    names = {found.entries[path].target for path in ("/srv/other-name", "/srv/slow/inner.py")}
    assert "" in names
    assert names & {"/srv/other-name", "/srv/slow/inner.py"}


def test_what_a_later_step_removed_is_hidden_and_packages_are_known(found: Contents) -> None:
    hidden = {one.path: one for layer in found.layers for one in layer.hidden}
    assert (hidden["/srv/zero"].size, hidden["/srv/zero"].removed) == (300_000, True)
    assert hidden["/srv/zero"].compressed < 3000
    assert "/srv/gone" in hidden
    assert found.entries["/usr/bin/perl"].package == ("Debian", "perl-base")
    assert ("Debian", "libc6") in found.depends["Debian", "perl-base"]
    assert not any(layer.compressed_known for layer in found.layers)


def test_a_folder_that_became_a_link_keeps_its_packages_files(found: Contents) -> None:
    zone = found.entries["/usr/share/moved/UTC"]
    assert zone.package == ("Debian", "tzdata")


def test_imports_are_seen_whatever_starts_python(
    engine: DockerEngine, ref: str, found: Contents
) -> None:
    spec = ContainerSpec(
        image=ref, publish=0, labels={f"{LABEL}.test": secrets.token_hex(8)}, read_only_root=True
    )
    times = import_times(engine, spec, found, within_s=120)
    assert times is not None
    slow = times["", "/srv/slow"]
    assert slow.modules == 2
    assert slow.self_s >= 0.2
    assert any(manager == "Debian" for manager, _ in times)
