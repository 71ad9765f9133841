"""What users type: platforms, as ``linux/arm64``, ``arm64`` or a list with commas; and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.errors import UsageError
from lab.spec import Platform

MODEL_DATA_HELP: Final = (
    "A model.tar.gz, here or at s3://; the folder that one unpacks to; or a lab model's name."
)


def parse_platform(text: str) -> Platform:
    """One platform. Raises ``UsageError``."""
    try:
        return Platform(_in_full(text))
    except ValueError:
        raise UsageError(
            f"{text!r} is not a platform.", remedy=f"Choose from {', '.join(Platform)}."
        ) from None


def parse_platforms(texts: Sequence[str]) -> Sequence[Platform]:
    """All that were named, each once, in that order. Raises ``UsageError``."""
    return [parse_platform(name) for name in full_names(texts)]


def full_names(texts: Sequence[str]) -> Sequence[str]:
    """The same unchecked, as ``linux/arm64``: for whoever says what is meant by a wrong one."""
    names = [name for text in texts for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(map(_in_full, names)))


def _in_full(text: str) -> str:
    name = text.strip()
    return name if "/" in name else f"linux/{name}"


def save(path: Path, content: str | bytes) -> None:
    """Write a file, its folder too if need be. Raises ``UsageError`` when that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", remedy="Choose another file."
        ) from error
