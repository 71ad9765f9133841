"""What rules about the image itself look at, asked of the engine once a check."""

from collections.abc import Mapping
from typing import Any

from lab.contract.layers.saved import Saved, save
from lab.contract.running.session import CannotTry, Session
from lab.engine.docker.errors import translated
from lab.errors import EngineError


def inspected(session: Session) -> Mapping[str, Any]:
    """The engine's whole record of the image."""

    def look() -> Mapping[str, Any]:
        with translated():
            return dict(session.where.engine.client.inspect_image(session.subject.image))

    return session.once("inspected", look)


def saved(session: Session) -> Saved:
    """Every layer of the image, read through. Raises ``CannotTry`` when it cannot be had."""

    def look() -> Saved:
        try:
            return save(session.where.engine, session.subject.image)
        except EngineError as error:
            raise CannotTry(f"the image's layers cannot be read: {error.what}") from error

    return session.once("saved", look)
