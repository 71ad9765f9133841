"""What a request's body is, as far as the name of its file tells."""

import mimetypes
from pathlib import Path
from typing import Final

from lab.errors import UsageError

_OURS: Final = {".npy": "application/x-npy", ".jsonl": "application/jsonlines"}
"""What model servers take and no registry of types lists."""


def guess(path: Path) -> str | None:
    """The ``Content-Type`` that the name stands for, if any; none for what is compressed."""
    kind, encoding = mimetypes.guess_type(path.name)
    return _OURS.get(path.suffix.lower()) or (None if encoding else kind)


def content_type_of(path: Path, given: str | None = None) -> str:
    """The one that was given, else the one that the name stands for.

    Raises ``UsageError`` when neither is there.
    """
    kind = given or guess(path)
    if kind is None:
        raise UsageError(
            f"The type of {path} cannot be told from its name.",
            remedy="Add --content-type, like application/json.",
        )
    return kind
