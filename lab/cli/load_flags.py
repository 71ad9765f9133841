"""The flags that all loads share: what is loaded, with what, and what is expected of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lab.cli.arguments import parse_platform
from lab.cli.load_payloads import PAYLOAD_HELP, read_payloads
from lab.errors import UsageError
from lab.loadtest.record import Objective
from lab.loadtest.targets.api import LoadPayload
from lab.units import parse_seconds

if TYPE_CHECKING:
    from lab.load.requests import Requests
    from lab.loadtest.targets.find import TargetOptions

TARGET_HELP: Final = (
    "A variant, image:REF, endpoint:NAME of the emulator, aws:NAME, or http://HOST:PORT/PATH; "
    "a bare name is the first of these that is there."
)
SIZE_HELP: Final = (
    "Of an image: serverless memory (1024 to 6144 MB, or 2GB), an instance type like ml.m5.large, "
    "or host (all that there is)."
)
ModelFlag = Annotated[str | None, typer.Option(help="One of the lab's, for a variant.")]
ModelDataFlag = Annotated[
    Path | None, typer.Option(help="A model.tar.gz for your image's /opt/ml/model.")
]
PlatformFlag = Annotated[str | None, typer.Option(help="linux/amd64 or linux/arm64.")]
_BOUND: Final = "The objective: this quantile is at most so long, like 200ms."


@dataclass(frozen=True, kw_only=True)
class ObjectiveFlags:
    """What is expected."""

    p50: Annotated[str | None, typer.Option("--p50", metavar="TIME", help=_BOUND)] = None
    p90: Annotated[str | None, typer.Option("--p90", metavar="TIME", help=_BOUND)] = None
    p95: Annotated[str | None, typer.Option("--p95", metavar="TIME", help=_BOUND)] = None
    p99: Annotated[str | None, typer.Option("--p99", metavar="TIME", help=_BOUND)] = None
    errors: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="The objective: so many may fail, like 0.1%."),
    ] = None

    def objective(self) -> Objective | None:
        """None where nothing is expected. Raises ``UsageError``."""
        given = {0.5: self.p50, 0.9: self.p90, 0.95: self.p95, 0.99: self.p99}
        bounds = {q: parse_seconds(text) for q, text in given.items() if text is not None}
        if len(bounds) > 1:
            named = " and ".join(f"--p{q * 100:g}" for q in bounds)
            raise UsageError(f"{named}: one quantile is the objective.", remedy="Choose one.")
        errors = None if self.errors is None else parse_share(self.errors)
        if not bounds and errors is None:
            return None
        q, seconds = next(iter(bounds.items()), (Objective().q, None))
        return Objective(q=q, seconds=seconds, errors=errors)


@dataclass(frozen=True, kw_only=True)
class TargetFlags(ObjectiveFlags):
    """What is loaded, and with what."""

    size: Annotated[str | None, typer.Option(help=SIZE_HELP)] = None
    payload: Annotated[list[str] | None, typer.Option(help=PAYLOAD_HELP)] = None
    content_type: Annotated[
        str | None, typer.Option(help="Of the payloads; guessed from their names.")
    ] = None
    model: ModelFlag = None
    model_data: ModelDataFlag = None
    platform: PlatformFlag = None
    seed: Annotated[
        int | None, typer.Option(help="Of the schedule, and of which payload is sent when.")
    ] = None
    timeout: Annotated[str, typer.Option(metavar="TIME", help="When a request is given up on.")] = (
        "60s"
    )
    profile: Annotated[str | None, typer.Option(help="AWS's profile.")] = None
    region: Annotated[str | None, typer.Option(help="AWS's region.")] = None
    max_usd: Annotated[float, typer.Option(min=0, help="On AWS: stop before it costs more.")] = 1.0
    hour_usd: Annotated[
        float | None,
        typer.Option(min=0, help="An hour of all its instances, where the lab knows no price."),
    ] = None

    def payloads(self) -> Sequence[LoadPayload]:
        """Those that were given. Raises ``UsageError``."""
        if self.content_type is not None and not self.payload:
            raise UsageError("--content-type needs --payload.", remedy="Name what is sent.")
        return read_payloads(self.payload or (), self.content_type)

    def how(
        self, payloads: Sequence[LoadPayload], *, before: "Requests | None" = None
    ) -> "TargetOptions":
        """To open the target. Raises ``UsageError``."""
        from lab.loadtest.targets.find import TargetOptions

        return TargetOptions(
            size=self.size,
            model=self.model,
            model_data=self.model_data,
            payload=payloads[0] if payloads else None,
            platform=None if self.platform is None else parse_platform(self.platform),
            timeout_s=self.timeout_s,
            profile=self.profile,
            region=self.region,
            max_usd=self.max_usd,
            hour_usd=self.hour_usd,
            before=before,
        )

    @property
    def timeout_s(self) -> float:
        return parse_seconds(self.timeout)


def parse_share(text: str) -> float:
    """``0.1%`` or ``0.001``. Raises ``UsageError``."""
    bare = text.strip()
    try:
        share = float(bare.removesuffix("%")) / (100 if bare.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UsageError(f"{text!r} is not a share.", remedy="Write it like 0.1% or 0.001.")
    return share
