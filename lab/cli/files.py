"""Files that a user asked for by name."""

from pathlib import Path

from lab.errors import UsageError


def save(path: Path, content: str | bytes) -> None:
    """Write it, its folder too if need be. Raises ``UsageError`` when that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", remedy="Choose another file."
        ) from error
