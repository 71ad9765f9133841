"""From an image as a model names it to one that the engine has."""

import re
import threading
from dataclasses import dataclass
from typing import Final

from lab.endpoint.instances import table
from lab.endpoint.live import VariantPlan
from lab.endpoint.records import EndpointKind
from lab.engine.api import Engine, ImageFacts
from lab.errors import EngineError, ImageNotFoundError, LabError
from lab.spec import Platform
from lab.start.cause import EXEC_FORMAT_ERROR


def refusal(plan: VariantPlan, image: Platform, *, machine: Platform) -> str | None:
    """Why a container of an image for ``image`` would not start at SageMaker's; None if it would.

    Emulation would hide it: an arm64 image runs here on what stands for an x86-64 instance.

    Serverless has x86-64: no page of AWS's says that it takes anything else. Where the ``machine``
    itself is arm64 the lab runs arm64 images there all the same, for there every other image would
    be emulated; ``instances.serverless_note`` says so.
    """
    if plan.kind is EndpointKind.SERVERLESS:
        if image in {Platform.AMD64, machine}:
            return None
        return (
            f"{_is_for(plan, image)}, and serverless endpoints have x86-64 processors: no page of "
            f"AWS's says that they take {image.arch}. Build it with --platform {Platform.AMD64}."
        )
    known = table().get(plan.instance_type or "")
    if known is None or known.platform is image:
        return None
    return (
        f"{_is_for(plan, image)}, and {known.name} has {known.processor} processors. Build it with "
        f"--platform {known.platform}, or choose an instance type with {image.arch} processors."
    )


def _is_for(plan: VariantPlan, image: Platform) -> str:
    return f"{EXEC_FORMAT_ERROR}: the image {plan.image} is for {image}"


SERVERLESS_MOST_BYTES: Final = 10_737_418_240
"""AWS refuses larger images for serverless endpoints."""

ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<place>.+)"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """An image that the engine has, under the name to start it by."""

    ref: str
    facts: ImageFacts


class ImageResolver:
    """Looks here, then in the local registry, then elsewhere. Blocking; safe in threads."""

    def __init__(self, engine: Engine, *, registry: str | None) -> None:
        """``registry`` is the local one as the engine reaches it."""
        self._engine = engine
        self._registry = registry
        self._known: dict[str, Found] = {}
        self._lock = threading.Lock()

    def resolve(self, image: str) -> Found:
        """The image, pulled if need be; what was found once is not asked for again.

        Raises ``ImageNotFoundError`` with everything that was tried.
        """
        known = self._known.get(image)
        if known is not None:
            return known
        with self._lock:  # two pulls of one image would get in each other's way
            if image not in self._known:
                self._known[image] = self._find(image)
            return self._known[image]

    def forget(self, image: str) -> None:
        """It was removed or has changed: look again."""
        self._known.pop(image, None)

    def _find(self, image: str) -> Found:
        ecr = ECR.fullmatch(image)
        place = ecr["place"] if ecr else image
        for ref in dict.fromkeys((image, place)):
            found = self._here(ref)
            if found is not None:
                return found
        tried = []
        pulls = [f"{self._registry}/{place}"] if self._registry else []
        for ref in (*pulls, image):
            try:
                self._engine.pull(ref)
            except EngineError as error:
                tried.append(f"{ref}: {error.what}")
                continue
            found = self._here(ref)
            if found is not None:
                return found
        also = f" Nor has it {place}." if ecr else ""
        raise ImageNotFoundError(
            f"Requested image {image} not found. The engine does not have it.{also} "
            f"Pulling it failed: {'; '.join(tried)}",
            remedy=f"Build or tag it as {place}, or push it to the local registry.",
        )

    def _here(self, ref: str) -> Found | None:
        try:
            return Found(ref=ref, facts=self._engine.image(ref))
        except ImageNotFoundError:
            return None


def too_large(found: Found) -> str | None:
    """Why AWS would not run it on a serverless endpoint, in AWS's words; None if it would."""
    size = found.facts.unpacked_bytes
    if size <= SERVERLESS_MOST_BYTES:
        return None
    return f"Image size {size} is greater than supported size {SERVERLESS_MOST_BYTES}"


def one_line(error: LabError) -> str:
    """What happened and what to do next, in one line."""
    return " ".join(str(error).split())
