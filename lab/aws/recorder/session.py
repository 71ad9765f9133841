"""A recording from beginning to end: where calls go, and the file that keeps them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab import paths
from lab.aws.access.session import open_session
from lab.aws.recorder.pairs import FILE, Pair
from lab.aws.recorder.proxy import Upstream
from lab.endpoint.addresses import Addresses, checked
from lab.errors import UsageError
from lab.runfiles import Lines, new_folder

AWS: Final = "aws"
LOCAL: Final = "local"


def upstream(to: str, *, profile: str | None = None, region: str | None = None) -> Upstream:
    """AWS (``aws``), the emulator of ``lab up`` (``local``), or whatever answers at a URL.

    Raises ``LabError``.
    """
    if to == AWS:
        with open_session(profile=profile, region=region) as session:
            return Upstream(
                control=session.own_address("sagemaker"),
                runtime=session.own_address("sagemaker-runtime"),
                region=session.region,
                credentials=session.credentials(),
            )
    url = to
    if to == LOCAL:
        found = Addresses.find(env={})
        if found is None:
            raise UsageError("No emulator is known here.", remedy="Start the lab: `lab up`.")
        url = found.sagemaker
    checked(url, "--to")
    return Upstream(control=url, runtime=url)


def new_file(given: Path | None) -> Lines[Pair]:
    """Where the pairs go: a run's folder of its own, or a file that is not there yet."""
    path = given
    if path is None:
        folder = paths.runs() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-recording"
        path = new_folder(folder) / FILE
    elif path.exists():
        raise UsageError(f"{path} is there already.", remedy="Choose another name with --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path.parent} cannot be made: {error.strerror}.", remedy="Choose another --out."
        ) from error
    return Lines(path, Pair, full="Free some space, then record again.")


def read(path: Path) -> Sequence[Pair]:
    """A recording that holds calls: its file, or its folder. Raises ``UsageError``."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UsageError(
            f"There is no recording at {file}.", remedy="`lab endpoint record` makes one."
        )
    found = Lines(file, Pair, full="").read()
    if not found:
        raise UsageError(f"{file} holds no call.", remedy="Run your program through the recorder.")
    return found
