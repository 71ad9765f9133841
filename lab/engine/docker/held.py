"""Images that endpoints were deployed with, under a name of the lab's own.

A tag that is built anew or removed, and `docker image prune`, then leave them where they are.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.errors import EngineError

HELD: Final = "inference-lab/deployed"


def hold(engine: DockerEngine, owner: str, image_ids: Collection[str]) -> None:
    """Hold these images for the owner, and let go of what else was held for it.

    An image without any name is not held: letting go of it later would remove it, which nobody
    asked for. Raises ``EngineError`` when the engine does not answer; that one image is gone or
    still in use is no error.
    """
    wanted = {f"{HELD}:{owner}-{_short(one)}": one for one in image_ids}
    with translated():
        there = {name for image in engine.client.images(name=HELD) for name in _names(image)}
    mine = {name for name in there if name.startswith(f"{HELD}:{owner}-")}
    for name in wanted.keys() - mine:
        with suppress(EngineError), translated():
            if _names(engine.client.inspect_image(wanted[name])):
                engine.client.tag(wanted[name], HELD, tag=name.rpartition(":")[2])
    for name in mine - wanted.keys():
        with suppress(EngineError), translated():
            engine.client.remove_image(name, noprune=True)


def _names(image: object) -> Collection[str]:
    return image.get("RepoTags") or () if isinstance(image, dict) else ()


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
