"""What a variant's names stand for: resolved once, kept, and compared with what they mean later."""

from collections.abc import Sequence
from contextlib import suppress

from lab.endpoint.clock import Clock
from lab.endpoint.launch.archives import KeptModels, version
from lab.endpoint.launch.images import (
    ImageResolver,
    one_line,
    refused_serverless,
    repository_of,
    resolved_image,
)
from lab.endpoint.launch.model import download_failure
from lab.endpoint.launching import Drift
from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.records import Pin
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.held import hold
from lab.errors import EngineError, LabError
from lab.spec import EngineKind


class Pins:
    """Blocking; safe to use from several threads."""

    def __init__(
        self,
        *,
        engine: Engine,
        images: ImageResolver,
        objects: S3Objects,
        models: KeptModels,
        owner: str,
        clock: Clock,
    ) -> None:
        """``owner`` is the emulator's: another's images are not let go of."""
        self._engine = engine
        self._images = images
        self._objects = objects
        self._models = models
        self._owner = owner
        self._clock = clock

    def resolve(self, plan: VariantPlan) -> Pin:
        """What its image and its model data are now, or what they were when it was deployed.

        Raises ``LaunchFailed`` for what can never run.
        """
        self._images.forget(plan)
        try:
            found = self._images.of(plan)
            why = refused_serverless(plan, found)
            if why is not None:
                raise LaunchFailed(why)
            if plan.pin is not None:
                return plan.pin
            etag, size = self._data(plan)
        except LabError as error:
            raise LaunchFailed(one_line(error)) from error
        except ObjectError as error:
            raise LaunchFailed(download_failure(plan.model_data or "", error)) from error
        digest = found.facts.digest
        return Pin(
            image_id=found.facts.image_id,
            resolved_image=resolved_image(plan.image, found.facts),
            pull_from=None if digest is None else f"{repository_of(found.ref)}@{digest}",
            resolved_at=self._clock.time(),
            data_etag=etag,
            data_bytes=size,
        )

    def _data(self, plan: VariantPlan) -> tuple[str | None, int]:
        """Of its model data the ETag and, of an archive, the bytes; both of one moment."""
        if plan.compressed and plan.model_data is not None:
            archive = self._objects.stored(plan.model_data)
            return archive.etag, archive.size
        return version(self._objects, plan), 0

    def retain(self, pins: Sequence[Pin]) -> None:
        """Keep the images and model data of these, and let go of those kept for others."""
        self._models.retain(pins)
        if isinstance(self._engine, DockerEngine):
            with suppress(EngineError):  # it will be asked again with the next deployment
                hold(self._engine, self._owner, {pin.image_id for pin in pins})

    def drift(self, plan: VariantPlan) -> Sequence[Drift]:
        """What its names stand for now, where that is not what it was deployed with."""
        if plan.pin is None:
            return ()
        found = []
        with suppress(EngineError):
            image_id = self._images.meant(plan.image)
            if image_id != plan.pin.image_id:
                found.append(Drift(f"image {image_id}", self._of_image(plan, plan.pin, image_id)))
        if plan.pin.data_etag is not None:
            etag = self._etag(plan, plan.pin.data_etag)
            if etag != plan.pin.data_etag:
                found.append(Drift(f"data {etag}", _of_data(plan, plan.pin, etag)))
        return found

    def _etag(self, plan: VariantPlan, known: str) -> str | None:
        """None when S3 says that there is nothing; what was known when S3 says nothing at all."""
        try:
            return version(self._objects, plan)
        except ObjectError as error:
            return None if error.code in {"NoSuchKey", "NoSuchBucket"} else known

    def _of_image(self, plan: VariantPlan, pin: Pin, image_id: str | None) -> str:
        if self._engine.kind is EngineKind.PROCESS:
            return (
                f"What {plan.image} stands for was installed anew. Processes that come later are "
                "made from that, for without containers the lab keeps one of each: update the "
                "endpoint."
            )
        now = f"is another image by now ({image_id})" if image_id else "is no image any more"
        if pin.pull_from is None and self._images.meant(pin.image_id) is None:
            return (
                f"{plan.image} {now}, and the engine has not kept the one that the endpoint was "
                f"deployed with, {pin.image_id}: a container that ends cannot be replaced. Have "
                f"an image of that name, and {_UPDATE}"
            )
        return (
            f"{plan.image} {now}. The endpoint still serves the one it was deployed with, "
            f"{pin.image_id}, in every container that comes later, too: {_UPDATE}"
        )


_UPDATE = "update the endpoint, to a configuration of another name, to have what there is now."


def _of_data(plan: VariantPlan, pin: Pin, etag: str | None) -> str:
    now = f"was overwritten (its ETag is {etag})" if etag else "is not in S3 any more"
    return (
        f"{plan.model_data} {now}. The endpoint still serves what it was deployed with (ETag "
        f"{pin.data_etag}), in every container that comes later, too: {_UPDATE}"
    )
