"""From an image as a model names it to one that the engine has."""

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from lab.endpoint.instances import table
from lab.endpoint.live import VariantPlan
from lab.endpoint.records import EndpointKind, Pin
from lab.engine.api import Engine, ImageFacts
from lab.errors import EngineError, ImageNotFoundError, LabError
from lab.spec import EngineKind, Platform
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


def place_of(image: str) -> str:
    """Where an image lies in its registry, if that is ECR; else its name."""
    ecr = ECR.fullmatch(image)
    return ecr["place"] if ecr else image


def names_here(image: str) -> Sequence[str]:
    """What the engine may have an image as; by its digest, as ``DescribeEndpoint`` shows it, too:
    an image that no registry has is known to its engine by that alone.
    """
    digest = image.partition("@")[2]
    return tuple(dict.fromkeys((image, place_of(image), *([digest] if digest else ()))))


def in_registry(image: str, registry: str | None) -> Sequence[str]:
    """What the local registry, if there is one, may have an image as."""
    return (f"{registry}/{place_of(image)}",) if registry else ()


def not_found(image: str, tried: Sequence[str]) -> ImageNotFoundError:
    """Nobody has it; ``tried``: which registries were asked for it, and what each said."""
    place = place_of(image)
    also = f" Nor has it {place}." if place != image else ""
    asked = f" No registry gave it: {'; '.join(one.rstrip('.') for one in tried)}." if tried else ""
    return ImageNotFoundError(
        f"Requested image {image} not found. The lab's engine does not have it.{also}{asked}",
        remedy=f"Build or tag it as {place}, or push it to the local registry.",
    )


def resolved_image(specified: str, facts: ImageFacts) -> str:
    """``REGISTRY/REPOSITORY@sha256:...``: by the registry's digest, or by the id of an image that
    no registry has.
    """
    if specified.startswith("sha256:"):
        return facts.image_id
    return f"{repository_of(specified)}@{facts.digest or facts.image_id}"


def repository_of(image: str) -> str:
    """Its name without tag and digest."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


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

    def of(self, plan: VariantPlan) -> Found:
        """What the plan was deployed with; what its image's name stands for if it was not yet.

        Raises ``ImageNotFoundError`` as ``resolve`` does, and when what was deployed is gone. A
        process is started by its name, whatever was installed under that meanwhile.
        """
        if plan.pin is None or self._engine.kind is EngineKind.PROCESS:
            return self.resolve(plan.image)
        image_id = plan.pin.image_id
        with self._lock:
            if image_id not in self._known:
                self._known[image_id] = self._deployed(plan.image, plan.pin)
            return self._known[image_id]

    def forget(self, plan: VariantPlan) -> None:
        """It was removed or has changed: look again."""
        for name in (plan.image, plan.image_id):
            self._known.pop(name, None)

    def meant(self, image: str) -> str | None:
        """The id of the image that a name stands for in this engine by now; None if of none."""
        names = (*names_here(image), *in_registry(image, self._registry))
        found = next((one for one in map(self._here, names) if one is not None), None)
        return None if found is None else found.facts.image_id

    def _deployed(self, image: str, pin: Pin) -> Found:
        found = self._here(pin.image_id)
        if found is None and pin.pull_from is not None:
            with suppress(EngineError):
                self._engine.pull(pin.pull_from)
            found = self._here(pin.image_id)
        if found is None:
            raise ImageNotFoundError(
                f"The image {image} that this endpoint was deployed with ({pin.image_id}) is gone "
                "from the engine.",
                remedy="Update the endpoint: that deploys what the image's name stands for now.",
            )
        return found

    def _find(self, image: str) -> Found:
        for ref in names_here(image):
            found = self._here(ref)
            if found is not None:
                return found
        tried = []
        for ref in (*in_registry(image, self._registry), image):
            try:
                self._engine.pull(ref)
            except EngineError as error:
                tried.append(f"{ref}: {error.what.rstrip('.')}")
                continue
            found = self._here(ref)
            if found is not None:
                return found
        raise not_found(image, tried)

    def _here(self, ref: str) -> Found | None:
        try:
            return Found(ref=ref, facts=self._engine.image(ref))
        except ImageNotFoundError:
            return None


def refused_serverless(plan: VariantPlan, found: Found) -> str | None:
    """Why AWS would not run it on a serverless endpoint; None if it would, or is not to."""
    if plan.kind is not EndpointKind.SERVERLESS:
        return None
    size = found.facts.unpacked_bytes
    if size > SERVERLESS_MOST_BYTES:  # AWS's words
        return f"Image size {size} is greater than supported size {SERVERLESS_MOST_BYTES}"
    if plan.model_data is not None and not plan.compressed:
        return "Uncompressed model data cannot be used on a serverless endpoint."
    return None


def one_line(error: LabError) -> str:
    """What happened and what to do next, in one line."""
    return " ".join(str(error).split())
