"""Model data on their way from S3, and every way in which they do not come."""

import gzip
import io
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as some

from lab.endpoint.instances import Compute
from lab.endpoint.launch.ahead import Ahead, Opened, awaited, write_all
from lab.endpoint.launch.model import Cancelled, Deadline, fetch
from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.s3 import Coming, S3Objects
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.timing import wait_until
from tests.unit.endpoint.standins import FakeObjects
from tests.unit.endpoint.standins import plan as plan_of

ARCHIVE = "s3://models/m.tar.gz"


def go_on() -> None:
    """Nothing is in the way."""


def coming(parts: Callable[[], Iterator[bytes]]) -> Callable[[], Opened]:
    """What is opened, as S3 would open it: of parts that a test makes."""

    class Body:
        def iter_chunks(self, _size: int) -> Iterator[bytes]:
            return parts()

    @contextmanager
    def opened() -> Iterator[Coming]:
        yield Coming({"ETag": '"e"', "Body": Body()}, doing="Downloading", endpoint="x")

    return opened


def archive(*members: tarfile.TarInfo) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return raw.getvalue()


def a_file(name: str, size: int = 7) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def a_link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


@pytest.fixture
def s3() -> FakeObjects:
    return FakeObjects()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    made = tmp_path / "state" / "servers" / "s-1" / "model"
    made.mkdir(parents=True)
    return made


def patient() -> Deadline:
    return Deadline(at=float("inf"), cancelled=threading.Event(), what="not in time")


def plan(uri: str, *, compressed: bool = False, etag: str | None = None) -> VariantPlan:
    return replace(plan_of(), model_data=uri, compressed=compressed, etag=etag)


def fetched(s3: FakeObjects, wanted: VariantPlan, into: Path) -> dict[str, bytes]:
    fetch(s3, wanted, into, patient())
    files = [path for path in into.rglob("*") if path.is_file()]
    return {path.relative_to(into).as_posix(): path.read_bytes() for path in files}


def refused(s3: FakeObjects, wanted: VariantPlan, into: Path) -> str:
    with pytest.raises(LaunchFailed) as caught:
        fetched(s3, wanted, into)
    said = caught.value.reason
    assert "Errno" not in said
    assert str(into.parents[2]) not in said
    return said


# --- threads that may be left behind -------------------------------------------------------------


def test_the_parts_come_in_their_order() -> None:
    with Ahead(coming(lambda: iter([b"a", b"b", b"c"])), go_on) as parts:
        assert list(parts) == [b"a", b"b", b"c"]
        assert parts.etag == "e"


def test_what_reading_raises_is_raised_where_the_parts_are_taken() -> None:
    class LostError(Exception):
        pass

    def broken() -> Iterator[bytes]:
        yield b"a"
        raise LostError

    with Ahead(coming(broken), go_on) as parts:
        taken = iter(parts)
        assert next(taken) == b"a"
        with pytest.raises(LostError):
            next(taken)


def test_a_reader_whose_parts_nobody_wants_ends() -> None:
    before = threading.active_count()
    with Ahead(coming(lambda: iter(lambda: b"more", b"")), go_on) as parts:
        assert next(iter(parts)) == b"more"
    wait_until(lambda: threading.active_count() <= before)


class Gate:
    """Holds up whoever reads, until the test is over; and says that it is time to give up."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def stall(self) -> None:
        self.reached.set()
        self.open.wait()

    def check(self) -> None:
        if self.reached.is_set():
            raise Cancelled


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


def test_who_waits_for_a_connection_that_stalls_is_not_held_up(gate: Gate, tmp_path: Path) -> None:
    def stalled() -> Iterator[bytes]:
        yield b"a"
        gate.stall()

    with pytest.raises(Cancelled), Ahead(coming(stalled), gate.check) as parts:
        list(parts)
    with pytest.raises(Cancelled):
        awaited(gate.stall, gate.check)
    with pytest.raises(Cancelled):
        write_all([(tmp_path / "file", coming(stalled))], gate.check)


def test_many_files_are_written_and_the_first_error_ends_it(tmp_path: Path) -> None:
    some_files = [(tmp_path / str(n), coming(lambda: iter([b"a", b"b"]))) for n in range(100)]
    write_all(some_files, go_on)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"ab"}
    assert len([*tmp_path.iterdir()]) == 100
    with pytest.raises(FileExistsError):
        write_all(some_files, go_on)


# --- archives ------------------------------------------------------------------------------------


@fidelity(
    "Model data",
    'An archive that cannot be extracted fails the endpoint: "Failed to extract model data '
    'archive for container "container_1" from URL ...". The lab adds why.',
    SEEN,
    "https://github.com/aws/deep-learning-containers/pull/569",
)
def test_an_archive_with_a_symbolic_link_fails_in_the_words_of_aws(
    s3: FakeObjects, into: Path
) -> None:
    link = a_link("snapshots/1/model.bin", "../../blobs/ab12")
    s3.write(ARCHIVE, archive(a_file("blobs/ab12"), link))
    assert refused(s3, plan(ARCHIVE, compressed=True), into) == (
        'Failed to extract model data archive for container "container_1" from URL '
        '"s3://models/m.tar.gz". Please ensure that the object located at the URL is a valid '
        "tar.gz archive. The archive: member 'snapshots/1/model.bin' is a symbolic link to "
        "'../../blobs/ab12', and SageMaker extracts no archive with symbolic links in it. "
        "Pack the files themselves: `tar --dereference -czf model.tar.gz -C FOLDER .`."
    )


@fidelity(
    "Model data",
    "An archive that unpacks to more than there is room for fails the endpoint: "
    '"The model data archive is too large. Please reduce the size ...".',
    SEEN,
    "https://github.com/aws/sagemaker-python-sdk/issues/879",
)
def test_an_archive_that_is_too_large_fails_in_the_words_of_aws(
    s3: FakeObjects, into: Path
) -> None:
    s3.write(ARCHIVE, archive(a_file("weights", 2000)))
    small = replace(
        plan(ARCHIVE, compressed=True),
        compute=Compute(memory_bytes=None, cpus=None, disk_bytes=1000),
    )
    said = refused(s3, small, into)
    assert said.startswith('Failed to extract model data archive for container "container_1" from')
    assert "The model data archive is too large. Please reduce the size of the" in said
    assert "valid tar.gz" not in said


@fidelity(
    "Model data",
    'Model data that are not there fail the endpoint: "Failed to download model data for '
    'container "container_1" from URL: ...". The lab adds what S3 said.',
    SEEN,
    "https://github.com/aws-samples/cvat-on-aws-china/issues/3",
)
@pytest.mark.parametrize("uri", [ARCHIVE, "s3://models/m/", "s3://models/m.onnx"])
def test_what_is_not_there_fails_in_the_words_of_aws(s3: FakeObjects, into: Path, uri: str) -> None:
    said = refused(s3, plan(uri, compressed=uri == ARCHIVE), into)
    assert said.startswith(
        f'Failed to download model data for container "container_1" from URL: "{uri}". Please '
        "ensure that there is an object located at the URL and that the role passed to CreateModel "
        "has permissions to download the object. "
    )


@fidelity(
    "Model data",
    "What is overwritten while it is fetched is fetched anew, once.",
    OURS,
    "One GET of S3's is of one version; what stands in for S3 may mix two of them.",
)
@pytest.mark.parametrize("times", [1, 2])
def test_an_archive_that_is_overwritten_while_it_comes_is_fetched_anew_once(
    into: Path, times: int
) -> None:
    whole = archive(a_file("weights"), a_file("other", 50_000))

    class Overwritten(FakeObjects):
        version = 0

        def etag(self, uri: str) -> str:
            return f"version {self.version}"

        @contextmanager
        def open(self, uri: str, *, etag: str | None = None) -> Iterator[Coming]:
            before = self.etag(uri)
            self.version = min(self.version + 1, times)
            data = whole if before == self.etag(uri) else whole[:-100]
            body = StreamingBody(io.BytesIO(data), len(data))
            yield Coming({"ETag": before, "Body": body}, doing="Downloading", endpoint="x")

    if times == 1:
        found = fetched(Overwritten(), plan(ARCHIVE, compressed=True), into)
        assert found.keys() == {"weights", "other"}
    else:
        said = refused(Overwritten(), plan(ARCHIVE, compressed=True), into)
        assert "s3://models/m.tar.gz was overwritten while the lab fetched it, twice." in said


@fidelity(
    "Model data",
    "An object with another ETag than S3DataSource names is not deployed.",
    OURS,
    "botocore: S3ModelDataSource.ETag says no more than that it goes with the URI",
)
@pytest.mark.parametrize("uri", [ARCHIVE, "s3://models/m.onnx"])
def test_an_object_with_another_etag_than_the_model_names_is_refused(
    s3: FakeObjects, into: Path, uri: str
) -> None:
    s3.write(uri, archive(a_file("weights")))
    right = plan(uri, compressed=uri == ARCHIVE, etag=s3.etag(uri))
    assert len(fetched(s3, right, into / "right")) == 1
    said = refused(s3, replace(right, etag="other"), into)
    assert "has the ETag" in said
    assert "not other" in said


@given(data=some.binary(max_size=3000), packed=some.sampled_from(["as it is", "gzip", "tar.gz"]))
def test_whatever_lies_there_no_reason_tells_a_number_or_a_path_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, packed: str
) -> None:
    into = tmp_path_factory.mktemp("state") / "servers" / "s-1" / "model"
    into.mkdir(parents=True)
    s3 = FakeObjects()
    if packed == "tar.gz":
        names = [part.decode(errors="surrogateescape") for part in data.split(b"\0")[:9]]
        data = archive(*(a_file(name or "x") for name in names))
    s3.write(ARCHIVE, gzip.compress(data) if packed == "gzip" else data)
    reason = ""
    try:
        fetch(s3, plan(ARCHIVE, compressed=True), into, patient())
    except LaunchFailed as error:
        reason = error.reason
    assert "Errno" not in reason
    assert str(into.parents[2]) not in reason
    assert reason.encode() or any(into.iterdir())


@pytest.mark.parametrize(
    ("number", "said"),
    [(28, "The disk is full"), (13, "Permission denied"), (36, "File name too long")],
)
@pytest.mark.parametrize("uri", [ARCHIVE, "s3://models/m/", "s3://models/m.onnx"])
def test_what_the_disk_refuses_is_said_without_a_path(
    s3: FakeObjects,
    into: Path,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    number: int,
    said: str,
) -> None:
    s3.write(ARCHIVE, archive(a_file("weights")))
    s3.write("s3://models/m/a", b"a")
    s3.write("s3://models/m.onnx", b"a")

    def no(path: Path, mode: str = "r", *_: object) -> None:
        raise OSError(number, "refused", str(path))

    monkeypatch.setattr(Path, "open", no)
    assert said in refused(s3, plan(uri, compressed=uri == ARCHIVE), into)


# --- objects as they are -------------------------------------------------------------------------


@fidelity(
    "Model data",
    "With S3Object and None the object is a file in /opt/ml/model, called as the last part of its "
    "key.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType",
)
@pytest.mark.parametrize("name", ["model.onnx", "a+b %20?c#d:0", "é" * 127])
def test_one_object_is_one_file(s3: FakeObjects, into: Path, name: str) -> None:
    s3.write(f"s3://models/deep/{name}", b"weights")
    assert fetched(s3, plan(f"s3://models/deep/{name}"), into) == {name: b"weights"}
    assert (into / name).stat().st_mode & 0o777 == 0o644


@fidelity(
    "Model data",
    "With S3Prefix and None each object is a file in /opt/ml/model, at its key without the prefix.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType",
)
def test_a_prefix_becomes_a_folder(s3: FakeObjects, into: Path) -> None:
    keys = [
        "config",
        "1/weights",
        "1/deep/b:0.npy",
        "1/Weights",
        "with space/ü",
        *(f"shard-{n}" for n in range(300)),
    ]
    for key in keys:
        s3.write(f"s3://models/m/{key}", key.encode())
    s3.write("s3://models/m2/other", b"")
    assert fetched(s3, plan("s3://models/m/"), into) == {key: key.encode() for key in keys}
    assert {path.stat().st_mode & 0o777 for path in into.rglob("*") if path.is_dir()} == {0o755}


def test_a_whole_bucket_is_a_prefix(s3: FakeObjects, into: Path) -> None:
    s3.write("s3://models/a", b"a")
    assert fetched(s3, plan("s3://models/"), into) == {"a": b"a"}


@pytest.mark.parametrize("then", ["overwritten", "deleted"])
def test_a_prefix_of_which_something_changes_is_listed_and_fetched_anew(
    s3: FakeObjects, into: Path, then: str
) -> None:
    for name in "abc":
        s3.write(f"s3://models/m/{name}", b"old")
    listing = s3.listing

    def changing(uri: str) -> object:
        found = listing(uri)
        s3.listing = listing  # type: ignore[method-assign]
        if then == "deleted":
            del s3.kept["s3://models/m/b"]
        else:
            s3.write("s3://models/m/b", b"new")
        return found

    s3.listing = changing  # type: ignore[assignment,method-assign]
    found = fetched(s3, plan("s3://models/m/"), into)
    assert found.get("b") == (None if then == "deleted" else b"new")
    assert found["a"] == b"old"


# --- S3 that stalls ------------------------------------------------------------------------------


@contextmanager
def silent_s3(head: bytes) -> Iterator[tuple[S3Objects, threading.Event]]:
    """S3 that sends so much to whoever asks, and then nothing; set once it has."""
    said, over = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head)
                said.set()
                over.wait()

        threading.Thread(target=answer, daemon=True).start()
        yield S3Objects(endpoint_url=url), said
        over.set()


@fidelity(
    "Model data",
    "ModelDataDownloadTimeoutInSeconds ends a download that stalls, of whatever kind.",
    DOCUMENTED,
    "botocore: ProductionVariant.ModelDataDownloadTimeoutInSeconds",
)
@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nETag: x\r\n\r\n\x1f"]
)
@pytest.mark.parametrize("uri", [ARCHIVE, "s3://models/m/", "s3://models/m.onnx"])
def test_a_connection_that_stalls_does_not_hang_beyond_the_limit(
    into: Path, head: bytes, uri: str
) -> None:
    with silent_s3(head) as (objects, said):

        class WhenStalled(Deadline):
            def check(self) -> None:
                if said.is_set():
                    self.at = 0.0
                super().check()

        until = WhenStalled(at=float("inf"), cancelled=threading.Event(), what="not in time")
        with pytest.raises(LaunchFailed, match="not in time"):
            fetch(objects, plan(uri, compressed=uri == ARCHIVE), into, until)
