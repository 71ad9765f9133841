"""The names that the lab gives to images: what has another name is somebody else's."""

from typing import Final

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.held import HELD
from lab.images.base import base_ref
from lab.images.targets import TARGETS
from lab.images.variants import image_ref
from lab.spec import Platform

_REPLACED: Final = "inference-lab/replaced"
SLIMMING: Final = "inference-lab/slimming"
"""Of smaller images that are not proven yet; a tag is the process that makes it."""
_STEPS: Final = ("tools",)
"""Stages of the bake file that are named so that they can be removed."""

_OWN: Final = frozenset(
    name
    for platform in Platform
    for name in (
        base_ref(platform),
        *(image_ref(target, platform) for target in (*TARGETS, *_STEPS)),
    )
)


def is_own_name(ref: str) -> bool:
    """Whether an image of this name is one that the lab named."""
    return ref in _OWN or ref.startswith((f"{_REPLACED}:", f"{HELD}:", f"{SLIMMING}:"))


def keep_as_replaced(engine: DockerEngine, image_id: str) -> None:
    """Give a name to an image that lost its own to a newer one and is still in use: without, it
    could not be told from what others built on the lab's.
    """
    with translated():
        engine.client.tag(image_id, _REPLACED, tag=image_id.removeprefix("sha256:")[:12])
