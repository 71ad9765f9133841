"""From what a user types to something that is ready to be loaded."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from lab.artifacts import store
from lab.aws.access.session import open_session
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient, running
from lab.engine.api import Engine, find_image
from lab.engine.select import open_engine
from lab.errors import EndpointError, UsageError
from lab.images.variants import VARIANTS
from lab.load.requests import Requests
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.runner import TIMEOUT_S
from lab.loadtest.targets.api import LoadPayload, Target
from lab.loadtest.targets.aws import aws_target
from lab.loadtest.targets.endpoint import endpoint_target
from lab.loadtest.targets.image import image_target
from lab.loadtest.targets.sizes import HOST, Size
from lab.loadtest.targets.subject import ImageRequest, image_subject, lab_payload
from lab.loadtest.targets.url import url_target
from lab.progress import Progress
from lab.spec import FLOOR, Platform

MAX_USD: Final = 1.0
"""What a load on AWS may cost unless somebody says otherwise."""
_PREFIXES: Final = {f"{kind.value}:": kind for kind in TargetKind if kind is not TargetKind.URL}


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """How to make a target ready; what does not belong to its kind is refused."""

    size: str | None = None
    """``Size.parse``; of an image only. None is all that the machine has."""
    model: str | None = None
    model_data: Path | None = None
    payload: LoadPayload | None = None
    """The first that the user gave."""
    platform: Platform | None = None
    env: dict[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    profile: str | None = None
    region: str | None = None
    max_usd: float = MAX_USD
    hour_usd: float | None = None
    """Of all instances of an endpoint on AWS, where the lab knows no price."""
    before: Requests | None = None
    """Of earlier sittings: what they cost counts."""


@contextmanager
def opened(text: str, *, how: TargetOptions, progress: Progress) -> Iterator[Target]:
    """``image:REF``, ``endpoint:NAME``, ``aws:NAME``, a URL; else the name of a variant, of an
    image that the engine has, or of an endpoint of the emulator, in this order.

    Raises ``UsageError`` that lists what there is, and whatever making it ready raises.
    """
    if text.startswith(("http://", "https://")):
        _only(TargetKind.URL, how)
        with url_target(text, timeout_s=how.timeout_s) as url:
            yield url
        return
    prefix = next((one for one in _PREFIXES if text.startswith(one)), "")
    name = text.removeprefix(prefix)
    if not name or "://" in text:
        raise _unknown(text)
    kind = _PREFIXES[prefix] if prefix else _kind_of(name, progress)
    _only(kind, how)
    if kind is TargetKind.AWS:
        with (
            open_session(profile=how.profile, region=how.region) as aws,
            aws_target(
                aws, name, max_usd=how.max_usd, hour_usd=how.hour_usd, before=how.before
            ) as on_aws,
        ):
            yield on_aws
    elif kind is TargetKind.ENDPOINT:
        with running() as client, endpoint_target(client, name) as emulated:
            yield emulated
    else:
        size = HOST if how.size is None else Size.parse(how.size)
        with (
            closing(open_engine(progress)) as engine,
            _image(name, size, how, engine, progress) as image,
        ):
            yield image


def asked_by_default(record: TargetRecord, model: str | None) -> LoadPayload:
    """What is sent where the user gave no payload: what clients of its model send.

    Raises ``UsageError`` when the model is not one of the lab's.
    """
    if record.name == FLOOR:
        return LoadPayload(name="empty", body=b"{}", content_type="application/json")
    told = f"{record.model or ''} {record.name}"
    # The longest first: a user's model may be called what is a part of another's name.
    named = sorted(store.models(), key=len, reverse=True)
    known = model or next((one for one in named if re.search(rf"\b{one}\b", told)), None)
    if known is None:
        raise UsageError(
            f"What {record.name} understands is not known.",
            remedy="Add --payload FILE, or --model with one of the lab's.",
        )
    return replace(lab_payload(known), weight=1.0)


@contextmanager
def _image(
    name: str, size: Size, how: TargetOptions, engine: Engine, progress: Progress
) -> Iterator[Target]:
    asked = ImageRequest(
        name=name,
        model=how.model,
        model_data=how.model_data,
        payload=how.payload,
        # Serverless takes what the machine is; an instance type's processor is its own.
        platform=how.platform or (None if size.serverless else size.platform),
    )
    ready = image_subject(asked, engine, progress)
    with image_target(
        engine,
        ready.subject,
        size=size,
        name=name,
        model=ready.model,
        platform=ready.platform,
        env=how.env,
        progress=progress,
    ) as target:
        yield target


def _kind_of(name: str, progress: Progress) -> TargetKind:
    if name in VARIANTS or name == FLOOR:
        return TargetKind.IMAGE
    with closing(open_engine(progress)) as engine:
        if find_image(engine, name) is not None:
            return TargetKind.IMAGE
    if name in _endpoints():
        return TargetKind.ENDPOINT
    raise _unknown(name)


def _endpoints() -> list[str]:
    """Of the emulator, if one answers."""
    addresses = Addresses.find()
    if addresses is None:
        return []
    with closing(EmulatorClient(addresses)) as client:
        try:
            return [str(row["EndpointName"]) for row in client.endpoints()]
        except EndpointError:
            return []


def _unknown(text: str) -> UsageError:
    there = f"Variants: {', '.join(VARIANTS)}. "
    if endpoints := _endpoints():
        there += f"Endpoints of the emulator: {', '.join(endpoints)}. "
    return UsageError(
        f"{text} is no variant, no image that is here and no endpoint of the emulator.",
        remedy=f"{there}image:REF is pulled; endpoint:NAME, aws:NAME and http://… are the rest.",
    )


def _only(kind: TargetKind, how: TargetOptions) -> None:
    """Refuse what means nothing to this kind of target."""
    image = {
        "--size": how.size,
        "--model-data": how.model_data,
        "--platform": how.platform,
    }
    aws = {"--profile": how.profile, "--region": how.region, "--hour-usd": how.hour_usd}
    given = {
        **({} if kind is TargetKind.IMAGE else image),
        **({} if kind is TargetKind.AWS else aws),
    }
    wrong = [flag for flag, value in given.items() if value is not None]
    if wrong:
        what = "an endpoint on AWS" if wrong[0] in aws else "an image, which is started for it"
        raise UsageError(
            f"{', '.join(wrong)} is for {what}: this target is {_WORDS[kind]}.",
            remedy="Leave it out.",
        )


_WORDS: Final = {
    TargetKind.IMAGE: "an image",
    TargetKind.ENDPOINT: "an endpoint of the emulator",
    TargetKind.URL: "a URL",
    TargetKind.AWS: "an endpoint on AWS",
}
