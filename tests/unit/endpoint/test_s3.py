"""S3 as moto's server plays it, on a real port."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from moto.server import ThreadedMotoServer

from lab.endpoint import s3_errors as module
from lab.endpoint.s3 import CHANGED, UNREACHABLE, ObjectError, S3Location, S3Objects, parse_uri
from tests.timing import wait_until


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.fixture(scope="module")
def client(url: str) -> Any:
    made = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    made.create_bucket(Bucket="box")
    return made


@pytest.fixture
def objects(url: str, client: Any) -> S3Objects:
    return S3Objects(endpoint_url=url)


def test_what_is_written_without_credentials_is_read_back(objects: S3Objects) -> None:
    objects.write("s3://box/a/b.json", b"[1]", content_type="application/json")
    assert objects.read("s3://box/a/b.json") == (b"[1]", "application/json")
    assert objects.size("s3://box/a/b.json") == 3


def test_a_download_is_whole_or_absent(objects: S3Objects, tmp_path: Path) -> None:
    objects.write("s3://box/big", b"x" * 3_000_000)
    into = tmp_path / "deep" / "big"
    etag = objects.download("s3://box/big", into)
    assert into.stat().st_size == 3_000_000
    assert len(etag) == 32
    with pytest.raises(ObjectError):
        objects.download("s3://box/none", tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in into.parent.iterdir()] == ["big"]


def test_a_big_object_comes_in_parts(objects: S3Objects) -> None:
    objects.write("s3://box/big", b"x" * 2_500_000)
    with objects.open("s3://box/big") as parts:
        assert [len(part) for part in parts] == [1_048_576, 1_048_576, 402_848]
    with objects.open("s3://box/big") as parts:
        next(parts)  # and the rest is not waited for


def test_a_prefix_is_listed_page_by_page(
    objects: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    keys = [f"m/{n:04}" for n in range(5)]
    for key in keys:
        objects.write(f"s3://box/{key}", b"x")
    found = objects.listing("s3://box/m/")
    assert [one.key for one in found] == keys
    assert {one.etag for one in found} == {objects.etag("s3://box/m/0000")}


@pytest.mark.parametrize("key", ["a+b %20?c#d", "\u00fc/\u0065\u0301", "a//b", "'\"&<"])
def test_a_key_is_listed_and_read_as_it_is(objects: S3Objects, client: Any, key: str) -> None:
    client.put_object(Bucket="box", Key=f"odd/{key}", Body=b"x")
    assert f"odd/{key}" in [one.key for one in objects.listing("s3://box/odd/")]
    assert objects.read(f"s3://box/odd/{key}")[0] == b"x"


def test_an_empty_prefix_is_an_error(objects: S3Objects) -> None:
    with pytest.raises(ObjectError, match="no object below this prefix") as caught:
        objects.listing("s3://box/nothing/")
    assert caught.value.code == "NoSuchKey"


def test_an_object_is_read_only_with_the_etag_that_was_asked_for(
    objects: S3Objects, tmp_path: Path
) -> None:
    objects.write("s3://box/fixed", b"one")
    first = objects.etag("s3://box/fixed")
    with objects.open("s3://box/fixed", etag=first) as coming:
        assert (coming.etag, b"".join(coming)) == (first, b"one")
    objects.write("s3://box/fixed", b"two")
    with pytest.raises(ObjectError) as caught:
        objects.download("s3://box/fixed", tmp_path / "x", etag=first)
    assert caught.value.code == CHANGED
    assert not list(tmp_path.iterdir())


def test_a_read_in_another_thread_can_be_broken_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nETag: x\r\n\r\nshort"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _address = server.accept()
            connection.recv(65536)
            connection.sendall(head)  # and then nothing, for ever
            held.append(connection)

        held: list[socket.socket] = []
        threading.Thread(target=answer, daemon=True).start()
        objects = S3Objects(endpoint_url=f"http://127.0.0.1:{server.getsockname()[1]}")
        with objects.open("s3://box/x") as coming:
            ended: list[Exception] = []

            def read() -> None:
                try:
                    list(coming)
                except ObjectError as error:
                    ended.append(error)

            reader = threading.Thread(target=read)
            reader.start()

            def stopped() -> bool:
                coming.stop()
                return not reader.is_alive()

            wait_until(stopped)
        assert ended
        held[0].close()


@pytest.mark.parametrize(
    ("uri", "code"),
    [("s3://box/none", "NoSuchKey"), ("s3://no-such-box/none", "NoSuchBucket")],
)
def test_what_is_missing_is_named_by_every_method(
    objects: S3Objects, tmp_path: Path, uri: str, code: str
) -> None:
    def stream() -> None:
        with objects.open(uri) as parts:
            next(parts)

    calls = [
        lambda: objects.read(uri),
        lambda: objects.size(uri),
        lambda: objects.download(uri, tmp_path / "x"),
        stream,
    ]
    for call in calls:
        with pytest.raises(ObjectError) as caught:
            call()
        assert caught.value.code == code
        assert uri in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://box", "s3://box/"])
def test_a_bucket_is_no_object(objects: S3Objects, uri: str) -> None:
    for call in (objects.size, objects.etag):
        with pytest.raises(ObjectError, match="names a bucket and no object") as caught:
            call(uri)
        assert caught.value.code == "NoSuchKey"


def test_writing_to_no_bucket_says_so(objects: S3Objects) -> None:
    with pytest.raises(ObjectError, match="Create the bucket") as caught:
        objects.write("s3://no-such-box/x", b"")
    assert caught.value.code == "NoSuchBucket"


def test_nobody_there_names_the_url_and_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ObjectError, match=r"Start it, or set AWS_ENDPOINT_URL_S3") as caught:
            S3Objects(endpoint_url=url).read("s3://box/x")
    assert caught.value.code == UNREACHABLE
    assert url in str(caught.value)


def test_an_answer_that_ends_too_soon_is_an_error_and_no_file(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: x\r\n\r\nshort"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(head)

        threading.Thread(target=answer, daemon=True).start()
        objects = S3Objects(endpoint_url=f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(ObjectError) as caught:
            objects.download("s3://box/x", tmp_path / "x")
        assert caught.value.code == UNREACHABLE
        with pytest.raises(ObjectError), objects.open("s3://box/x") as parts:
            list(parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("s3://box/a/b?c#d e", "box", "a/b?c#d e"),
        ("s3://box", "box", ""),
        ("https://s3-data.s3.amazonaws.com/m/model.tar.gz", "s3-data", "m/model.tar.gz"),
        ("https://box.s3.amazonaws.com/a%20b", "box", "a b"),
        ("https://box.s3.eu-central-1.amazonaws.com/a/b", "box", "a/b"),
        ("https://dotted.box.s3-eu-west-1.amazonaws.com/a", "dotted.box", "a"),
        ("https://s3.us-west-2.amazonaws.com/box/a/b", "box", "a/b"),
        ("https://box.s3.cn-north-1.amazonaws.com.cn/a", "box", "a"),
        ("https://box.s3.dualstack.us-east-1.amazonaws.com/a", "box", "a"),
        ("https://s3-fips.us-gov-west-1.amazonaws.com/box/a", "box", "a"),
        ("https://box.s3.amazonaws.com/a+b%23c%3Fd%25%C3%BC?versionId=1", "box", "a+b#c?d%\u00fc"),
        ("s3://dotted.box/a//b/./c", "dotted.box", "a//b/./c"),
        ("http://127.0.0.1:9000/box/a", "box", "a"),
    ],
)
def test_a_place_is_written_in_many_ways(uri: str, bucket: str, key: str) -> None:
    assert parse_uri(uri, endpoint_url="http://127.0.0.1:9000") == S3Location(
        bucket=bucket, key=key
    )


@pytest.mark.parametrize(
    "uri", ["", "s3://", "s3:///x", "https://example.com/box/x", "box/x", "file:///x"]
)
def test_any_other_place_is_refused(uri: str) -> None:
    with pytest.raises(ObjectError, match="is not an S3 URI") as caught:
        parse_uri(uri, endpoint_url="http://127.0.0.1:9000")
    assert caught.value.code == "InvalidURI"


def test_a_name_that_s3_has_not_is_said_in_one_line() -> None:
    with pytest.raises(ObjectError) as caught:
        S3Objects(endpoint_url="http://127.0.0.1:1").etag("s3://a bucket/x")
    assert str(caught.value) == (
        "Reading s3://a bucket/x: S3 has no bucket or object of such a name. Write s3://BUCKET/KEY."
    )


def test_every_error_of_botocore_is_translated() -> None:
    kinds = [botocore.exceptions.BotoCoreError]
    for kind in kinds:
        kinds += [sub for sub in kind.__subclasses__() if sub not in kinds]
    assert len(kinds) > 50
    for kind in kinds:
        error = kind.__new__(kind)
        with pytest.raises(ObjectError) as caught, module.translating("Reading x", "http://s3"):
            raise error
        assert caught.value.code in {
            "AccessDenied",
            UNREACHABLE,
            "InvalidURI",
            "InternalError",
        }
    assert module._RAISED[-1][0] is botocore.exceptions.BotoCoreError


def test_an_unknown_code_of_s3_is_passed_on() -> None:
    said = {"Error": {"Code": "TeaPot", "Message": "short and stout"}}
    with (
        pytest.raises(ObjectError, match="short and stout") as caught,
        module.translating("Reading x", "http://s3"),
    ):
        raise botocore.exceptions.ClientError(said, "GetObject")
    assert caught.value.code == "TeaPot"
