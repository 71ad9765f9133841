"""Going on with a load: only with what it was begun with."""

from collections.abc import Mapping

from lab.errors import UsageError
from lab.loadtest.record import Load, TargetKind, TargetRecord


def target_text(record: TargetRecord) -> str:
    """What a user would type for it."""
    return record.name if record.kind is TargetKind.URL else f"{record.kind}:{record.name}"


def refuse_another(before: Load, now: Load) -> None:
    """Raise ``UsageError`` that names what differs: the requests would not be of one load."""
    was, has = _told(before), _told(now)
    differences = [
        f"{what} was {was[what]} and is {has[what]}" for what in was if was[what] != has[what]
    ]
    if differences:
        raise UsageError(
            f"{before.id} cannot go on: {'; '.join(differences)}.",
            remedy="Give what it was begun with, or begin a new load, without --resume.",
        )


def _told(load: Load) -> Mapping[str, str]:
    target = load.target
    payloads = (
        f"{one.name} ({one.bytes} bytes of {one.content_type}, {one.sha256[:12]}) x {one.weight:g}"
        for one in load.payloads
    )
    return {
        "the target": target_text(target),
        "its size": str(target.size),
        "its image": str(target.image_digest),
        "its model": str(target.model),
        "its platform": str(target.platform),
        "its concurrency": str(target.max_concurrency),
        "the schedule": f"{load.schedule} ({str(load.schedule_sha256)[:12]})",
        "the closed loop": str(load.closed),
        "the payloads": ", ".join(payloads),
        "the seed": str(load.seed),
        "the time-out": f"{load.timeout_s:g} s",
        "the objective": str(load.objective or "none"),
    }
