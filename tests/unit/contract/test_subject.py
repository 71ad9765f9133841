"""What ``--model-data`` may be, before there is an engine to ask for an image."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.contract.subject import CheckRequest, prepared
from lab.errors import ArchiveError, UsageError
from lab.progress import Silent
from tests.unit.endpoint.standins import FakeObjects

NO_ENGINE: Any = object()


def with_a_link(archive: Path) -> bytes:
    with tarfile.open(archive, "w:gz") as tar:
        real = tarfile.TarInfo("blobs/ab12")
        real.size = 7
        tar.addfile(real, io.BytesIO(b"weights"))
        link = tarfile.TarInfo("snapshots/1/model.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "../../blobs/ab12"
        tar.addfile(link)
    return archive.read_bytes()


def refused(model_data: str) -> ArchiveError:
    request = CheckRequest(image="never/there:1", model_data=model_data)
    with pytest.raises(ArchiveError) as caught, prepared(request, NO_ENGINE, Silent()):
        pass
    return caught.value


def test_an_archive_that_sagemaker_refuses_is_refused_before_the_engine_is_asked(
    tmp_path: Path,
) -> None:
    with_a_link(tmp_path / "model.tar.gz")
    error = refused(str(tmp_path / "model.tar.gz"))
    assert error.what == (
        "model.tar.gz: member 'snapshots/1/model.bin' is a symbolic link to '../../blobs/ab12', "
        "and SageMaker extracts no archive with symbolic links in it."
    )
    assert "tar --dereference" in error.remedy
    assert error.exit_code == 5


def test_an_archive_in_s3_is_refused_in_the_endpoints_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = FakeObjects()
    objects.write("s3://cases/links.tar.gz", with_a_link(tmp_path / "links.tar.gz"))
    objects.write("s3://cases/m/", b"")
    monkeypatch.setattr("lab.contract.subject.S3Objects", lambda endpoint_url: objects)
    assert refused("s3://cases/links.tar.gz").what.startswith(
        'Failed to extract model data archive for container "container_1" from URL '
        '"s3://cases/links.tar.gz". Please ensure that the object located at the URL is a valid '
        "tar.gz archive. The archive: member 'snapshots/1/model.bin' is a symbolic link"
    )
    assert "ends with a slash" in refused("s3://cases/m/").what
    assert refused("s3://cases/none.tar.gz").what.startswith("Failed to download model data for")


def test_a_folder_with_a_link_to_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").symlink_to(tmp_path / "nowhere")
    request = CheckRequest(image="never/there:1", model_data=str(tmp_path / "model"))
    with (
        pytest.raises(UsageError, match=r"model/weights cannot be read, or is a link to nothing"),
        prepared(request, NO_ENGINE, Silent()),
    ):
        pass


def test_a_name_that_is_nothing_is_said_at_once() -> None:
    request = CheckRequest(image="never/there:1", model_data="my-modle")
    with (
        pytest.raises(UsageError, match="my-modle is no archive, no folder"),
        prepared(request, NO_ENGINE, Silent()),
    ):
        pass
