"""An image of the user's: here, pulled, nowhere, or too large for the disk."""

from typing import TYPE_CHECKING, cast

import pytest

from lab.engine.api import ImageFacts
from lab.errors import DiskFullError, EngineError, ImageNotFoundError
from lab.progress import Silent
from lab.spec import Platform
from lab.start.image import ensure_image
from tests.unit.engine.fake import FakeEngine

if TYPE_CHECKING:
    from lab.engine.api import Engine


class Far(FakeEngine):
    """Has no image until it is pulled."""

    def __init__(self, error: EngineError | None = None) -> None:
        super().__init__()
        self.error = error
        self.pulled: list[str] = []

    def image(self, ref: str) -> ImageFacts:
        if ref not in self.pulled:
            raise ImageNotFoundError(f"There is no image {ref}.")
        return super().image(ref)

    def pull(self, ref: str, *, platform: Platform | None = None) -> list[object]:  # type: ignore[override]
        if self.error is not None:
            raise self.error
        self.pulled.append(ref)
        return []


def ensure(engine: FakeEngine) -> ImageFacts:
    return ensure_image("me/x:1", None, cast("Engine", engine), Silent())


def test_it_is_pulled_once() -> None:
    engine = Far()
    assert ensure(engine).ref == "me/x:1"
    ensure(engine)
    assert engine.pulled == ["me/x:1"]


def test_one_that_is_nowhere_is_named_with_what_the_engine_says() -> None:
    with pytest.raises(ImageNotFoundError, match=r"no image me/x:1\. Access is denied\.") as caught:
        ensure(Far(EngineError("Access is denied.")))
    assert "log in to its registry" in caught.value.remedy


def test_a_full_disk_is_not_told_as_a_missing_image() -> None:
    with pytest.raises(DiskFullError, match="full"):
        ensure(Far(DiskFullError("The disk is full.")))
