"""Containers under emulation: told from native ones, and waited for longer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lab.spec import Platform

PATIENCE: Final = 5.0
"""By how much longer a container is waited for whose every instruction QEMU translates.

Arithmetic suffers most: a prediction of MobileNet that takes 10 ms natively takes 6.5 s of CPU
emulated, one of VGG19 some minutes. No limit of SageMaker's is changed by it: how long something
took under emulation is not judged.
"""

NOT_JUDGED: Final = "emulated: time not judged"


def emulated(platform: Platform, *, native: Platform) -> bool:
    """Whether an engine's machine has to emulate the processor of an image."""
    return platform is not native


def patience(platform: Platform, *, native: Platform) -> float:
    """What limits of time are multiplied by: 1 where nothing is emulated."""
    return PATIENCE if emulated(platform, native=native) else 1.0


PROCESSOR: Final[Mapping[Platform, Mapping[str, str]]] = MappingProxyType(
    {
        Platform.ARM64: MappingProxyType({"QEMU_CPU": "neoverse-n1"}),
        Platform.AMD64: MappingProxyType({}),
    }
)
"""What an emulated container is given: for arm64 Graviton2's processor, as in ml.m6g.

QEMU's own choice has every extension there is: pointers are signed in software, and libraries
choose kernels for vector units that SageMaker has not. A start takes 13 s of CPU instead of 7 s,
a prediction 6.5 s instead of 4.8 s.
"""


def environment(platform: Platform, *, native: Platform) -> Mapping[str, str]:
    """``PROCESSOR`` where it is emulated, else nothing."""
    return PROCESSOR[platform] if emulated(platform, native=native) else {}
