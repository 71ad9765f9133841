"""What AWS, or the way to it, answers with, in the lab's words.

Nothing that AWS says is passed on unread: account ids, keys and signatures are taken out, and the
foreign exception is no part of the traceback, which would show them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore import exceptions as refused
from botocore.parsers import ResponseParserError

from lab.aws.access.permissions import ACTIONS, POLICY_FILE, actions_of
from lab.aws.model import AwsError
from lab.awserrors import ErrorKind, code_of, kind_of


class CallError(AwsError):
    """AWS refused a call, or did not answer it. ``code`` is AWS's own, or the exception's name."""

    def __init__(self, what: str, *, remedy: str, kind: ErrorKind, code: str) -> None:
        super().__init__(what, remedy=remedy)
        self.kind = kind
        self.code = code


# Sixteen and more capitals and digits after a prefix: an access key's id, secret or temporary.
_KEY_ID: Final = re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{12,}\b")
# Not within a digest, whose figures may happen to be twelve in a row.
_ACCOUNT: Final = re.compile(r"(?<![0-9a-f])\d{12}(?![0-9a-f])")
_SECRET: Final = re.compile(
    r"(?i)((?:security[-_]?token|session[-_]?token|signature|secret[-_]?\w*|password|credential)"
    r"[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,]+"
)
HIDDEN: Final = "************"


def redacted(text: str) -> str:
    """The text without account ids, key ids, tokens and signatures."""
    text = _SECRET.sub(rf"\g<1>{HIDDEN}", text)
    return _ACCOUNT.sub(HIDDEN, _KEY_ID.sub(HIDDEN, text))


_REMEDY: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.CREDENTIALS: "Give credentials: `aws configure`, `aws configure sso`, --profile.",
    ErrorKind.REJECTED: "Check the keys, or choose others with --profile NAME.",
    ErrorKind.EXPIRED: "Sign in again: `aws sso login{profile}`, or get new temporary credentials.",
    ErrorKind.CLOCK: "Set this machine's clock: AWS refuses what was signed minutes off.",
    ErrorKind.REGION: "Choose a region that this account may use, with --region, e.g. us-east-1.",
    ErrorKind.DENIED: f"Attach {POLICY_FILE} to who asks (`lab push policy` prints it).",
    ErrorKind.QUOTA: "Remove what is not needed, or ask for more in the Service Quotas console.",
    ErrorKind.THROTTLED: "Run the same command again in a minute: it goes on from what it finds.",
    ErrorKind.CONNECTION: "Run the same command again when the network is back: it goes on.",
    ErrorKind.ABSENT: "Run `lab push aws` again, which makes what is missing.",
    ErrorKind.TAKEN: "Choose another name with --endpoint, or remove what has this one.",
    ErrorKind.BUSY: "Wait until the other change is done, then run the same command again.",
    ErrorKind.INVALID: "Correct what AWS says; if no flag can, it is a bug of the lab's.",
    ErrorKind.UNCHANGED: "Nothing: it is as it was ordered.",
    ErrorKind.MODEL: "See the container's own lines in CloudWatch Logs.",
    ErrorKind.SERVICE: "Run the same command again later: AWS, or a proxy before it, broke down.",
    ErrorKind.SETTINGS: "Check ~/.aws/config and the AWS_* variables.",
    ErrorKind.OTHER: "See what AWS said.",
}

REFUSED: Final = (
    ErrorKind.DENIED,
    ErrorKind.ABSENT,
    ErrorKind.INVALID,
    ErrorKind.SERVICE,
    ErrorKind.OTHER,
)
"""Of one question, where others may be answered all the same."""

_ACTION: Final = re.compile(r"perform:?\s+([a-z0-9-]+:[A-Za-z0-9]+)")
_LONGEST: Final = 600
_QUIET: Final = (ErrorKind.REJECTED, ErrorKind.EXPIRED, ErrorKind.CLOCK)


@contextmanager
def translated(
    doing: str, *, service: str = "", profile: str | None = None, region: str | None = None
) -> Iterator[None]:
    """Turn what botocore raises within into ``CallError``: what was done, what AWS said, what next.

    ``doing`` is said first, e.g. ``Pushing the image``; ``service`` is boto3's name of it.
    """
    try:
        yield
    except (refused.ClientError, refused.BotoCoreError, ResponseParserError) as error:
        raise as_call_error(error, doing, service=service, profile=profile, region=region) from None


def as_call_error(
    error: Exception,
    doing: str,
    *,
    service: str = "",
    profile: str | None = None,
    region: str | None = None,
) -> CallError:
    """The same for an exception in hand."""
    kind = kind_of(error)
    code, said = _said(error, kind)
    remedy = _REMEDY[kind].format(profile=f" --profile {profile}" if profile else "")
    if kind is ErrorKind.DENIED:
        action = _denied_action(error, service)
        if action and not set(action.split(", ")) <= ACTIONS:
            remedy = f"Allow {action} to who asks."  # no policy of the lab's would
        elif action:
            remedy = f"Allow {action}: {remedy[0].lower()}{remedy[1:]}"
    where = f" in {region}" if region and kind in {ErrorKind.REGION, ErrorKind.QUOTA} else ""
    what = f"{doing}: {kind}{where} ({code})."
    return CallError(
        redacted(f"{what} {said}".rstrip()), remedy=redacted(remedy), kind=kind, code=code
    )


def _said(error: Exception, kind: ErrorKind) -> tuple[str, str]:
    if isinstance(error, refused.ClientError):
        words = str(error.response.get("Error", {}).get("Message") or "")
        if kind in _QUIET:
            words = ""  # It quotes the request: keys, tokens and the signature.
        code = code_of(error) or "no code"
    else:
        code, words = type(error).__name__, str(error)
    words = " ".join(words.split())[:_LONGEST]
    return code, words if not words or words.endswith(".") else f"{words}."


def _denied_action(error: Exception, service: str) -> str:
    found = _ACTION.search(str(error))
    if found:
        return found[1]
    operation = str(getattr(error, "operation_name", ""))
    services = [service] if service else sorted({one.partition(":")[0] for one in ACTIONS})
    for name in services:
        actions = actions_of(name, operation)
        if all(one in ACTIONS for one in actions):
            return ", ".join(actions)
    return ""
