"""The errors the lab raises on purpose: each says what happened, where, and what to do next.

The command line prints ``what`` and ``remedy`` and exits with ``exit_code``; a traceback is
only ever shown for a bug.
"""

import errno
import os
import re
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class LabError(Exception):
    """Something a user can act on. ``remedy`` is one imperative sentence, or empty."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".rstrip()


class UsageError(LabError):
    """A flag, a file or a name given by the user is wrong."""

    exit_code = 2


class PlanError(UsageError):
    """A file of plans or budgets is wrong; the message names the file, the line and the key."""


class EngineError(LabError):
    """The container engine refused, vanished or cannot be had."""

    exit_code = 3


class EngineUnavailableError(EngineError):
    """No engine answers and none may be installed."""


class ImageNotFoundError(EngineError):
    """The engine has no such image and cannot get it."""


class PortTakenError(EngineError):
    """Another program listens on the port that a container should publish."""


class EmulationError(EngineError):
    """Programs of another architecture do not run on the engine, and may not be made to."""


class DiskFullError(EngineError):
    """The disk that holds images, archives or runs is full."""


class RegistryError(EngineError):
    """The local registry did not answer, or answered with an error."""


class BuildError(LabError):
    """An image or a model could not be built; the message ends with the builder's last lines."""

    exit_code = 4


class ArchiveError(LabError):
    """A ``model.tar.gz`` is corrupt, or would write outside its folder."""

    exit_code = 5


class ArchiveTooLargeError(ArchiveError):
    """A ``model.tar.gz`` unpacks to more than there is room for."""


class ContainerFailedError(LabError):
    """A container did not get ready, or died: exit code, OOM kill or not, its last log lines."""

    exit_code = 6


class BusyError(LabError):
    """Another bench holds the machine: two at once would measure each other."""

    exit_code = 7


class CommandError(LabError):
    """A program that the lab started ended with an error."""

    exit_code = 8


class EndpointError(LabError):
    """The endpoint emulator refused, did not answer, or an endpoint failed."""

    exit_code = 10

    def __init__(
        self, what: str, *, remedy: str = "", code: str = "", model_status: int | None = None
    ) -> None:
        """``code`` is AWS's, ``model_status`` the model server's: where either answered."""
        super().__init__(what, remedy=remedy)
        self.code = code
        self.model_status = model_status


def without_numbers(said: str) -> str:
    """An operating system's words without the numbers of its errors."""
    return re.sub(r"\[Errno -?\d+\] ", "", said)


def refused_by_disk(error: OSError, what: str) -> LabError:
    """What a file system refused, without the error's number and without a path of this machine.

    ``what`` is a sentence without its full stop.
    """
    if error.errno in _FULL:
        return DiskFullError(f"The disk is full: {what}.", remedy="Free some space and try again.")
    said = os.strerror(error.errno) if error.errno else type(error).__name__
    return LabError(f"{what}: the lab's file system said: {said}.")
