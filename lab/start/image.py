"""Having an image that the lab did not build, before a container of it is started."""

from lab.engine.api import Engine, ImageFacts
from lab.errors import DiskFullError, EngineError, ImageNotFoundError
from lab.progress import Progress
from lab.spec import Platform


def ensure_image(
    ref: str, platform: Platform | None, engine: Engine, progress: Progress
) -> ImageFacts:
    """What the engine knows of an image, pulled from its registry if it is not here.

    Raises ``ImageNotFoundError`` when it is nowhere, ``DiskFullError`` when it does not fit.
    """
    try:
        return engine.image(ref)
    except ImageNotFoundError:
        pass
    try:
        with progress.step(f"Pull {ref}"):
            engine.pull(ref, platform=platform)
    except DiskFullError:
        raise
    except EngineError as error:
        raise ImageNotFoundError(
            f"The engine has no image {ref}. {error.what}",
            remedy="Check its name (`docker images` lists what is here), build it, or log in to "
            "its registry and pull it by hand.",
        ) from error
    return engine.image(ref)
