"""The advice on a tiny image: of two packages the one that nothing read is named, with a patch."""

import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import paths
from lab.advice.advice_report import ADVICE_FILE, AdviceReport
from lab.advice.advise import AdviceJob, advise
from lab.advice.recording import RECORDING_FILE, Stage, load_recording
from lab.advice.rules.model import AdviceKind
from lab.contract.subject import CheckRequest
from lab.engine.docker.engine import DockerEngine
from lab.progress import Silent
from lab.spec import LABEL, StartKind
from tests.docker import known, three_files

pytestmark = [pytest.mark.docker]

STEP = "RUN apt-get install -y server spare"
UNREAD = b"\x01\x02\x03\x04" * 500_000
OWNED = {"server": "/serve", "spare": "/usr/lib/spare.bin"}


def packed(content: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, one in content.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(one), 0o755
            tar.addfile(member, io.BytesIO(one))
    return data.getvalue()


def image(server: bytes, arch: str, ref: str) -> bytes:
    """As an engine loads it: one layer, of a step that installed two packages."""
    stanzas = [f"Package: {name}\nStatus: install ok installed\n" for name in OWNED]
    lists = {f"var/lib/dpkg/info/{name}.list": f"{path}\n".encode() for name, path in OWNED.items()}
    layer = packed(
        {
            "serve": server,
            "usr/lib/spare.bin": UNREAD,
            "var/lib/dpkg/status": "\n".join(stanzas).encode(),
            **lists,
        }
    )
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {"Entrypoint": ["/serve"], "Labels": {LABEL: "true"}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": STEP}],
    }
    manifest = [{"Config": "image.json", "RepoTags": [ref], "Layers": ["layer.tar"]}]
    return packed(
        {
            "layer.tar": layer,
            "image.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


@pytest.fixture
def two_packages(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[str]:
    built("coldhost")
    ref = f"{known.REPOSITORY}/two-packages:{secrets.token_hex(4)}"
    server = three_files.program(engine, built("floor"))
    list(engine.client.load_image(image(server, engine.facts().platform.arch, ref)))
    yield ref
    known.remove(engine, ref)


def test_of_two_packages_the_unread_one_is_told_with_what_it_costs_and_a_patch(
    engine: DockerEngine, two_packages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "runs", lambda: tmp_path)
    job = AdviceJob(
        request=CheckRequest(image=two_packages), payloads=[three_files.PAYLOAD], measure=False
    )
    report, folder = advise(job, engine, Silent())
    rows = {one.name: one for one in report.rows}
    assert rows["server"].opened is Stage.READY
    assert (rows["server"].files, rows["server"].advice) == (1, ())
    assert rows["spare"].opened is None
    assert (rows["spare"].files, rows["spare"].unpacked_bytes) == (1, len(UNREAD))
    assert rows["spare"].advice == (1,)
    (one,) = report.advice
    assert one.kind is AdviceKind.UNREAD_PACKAGE
    assert one.title == "Do not install spare"
    assert one.patch == f"- {STEP}\n+ RUN apt-get install -y server"
    assert [step.patch for step in report.steps] == [one.patch]
    assert not any(start.measured for start in report.starts)
    recording = load_recording(folder / RECORDING_FILE)
    if StartKind.ONDEMAND in {start.kind for start in report.starts}:
        # What the start waited for was for the one file that it read, or for nobody's blocks.
        waited = recording.touched()["/serve"].waited_s[Stage.READY]
        assert 0 < waited <= recording.chunks[Stage.READY].waited_s
        assert rows["server"].ondemand_s == pytest.approx(waited)
        assert rows["spare"].ondemand_s == 0
    kept = AdviceReport.model_validate_json((folder / ADVICE_FILE).read_bytes())
    assert kept.to_json() == report.to_json()
