"""Containers under emulation: told from native ones, and waited for longer."""

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
