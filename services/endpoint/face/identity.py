"""Who calls, and as which role: of STS and IAM what a program asks before it asks SageMaker.

There is one account. Everybody is a session of the lab's role, so that programs which look for the
role that they run as find one; every role exists, since nothing here is permitted or forbidden.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from lab.endpoint.clock import Clock
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.settings import EmulatorSettings

ROLE: Final = "inference-lab"
"""The role of whoever calls."""

_SESSION: Final = "lab"
_NAMESPACES: Final = {
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
}
_DURATION_S: Final = 3600
_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ROLE_ARN: Final = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]{1,64})")
_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}

Form = Mapping[str, str]
Answer = Callable[[str], bytes]
"""The body, of the request's id."""


class Identity:
    """The operations that are answered."""

    def __init__(self, settings: EmulatorSettings, clock: Clock) -> None:
        self._account = settings.account
        self._keys = settings.access_keys
        self._clock = clock
        self._operations: Mapping[tuple[str, str], Callable[[Form, str], str]] = {
            ("sts", "GetCallerIdentity"): self._caller,
            ("sts", "AssumeRole"): self._assume,
            ("sts", "GetSessionToken"): self._token,
            ("iam", "GetRole"): self._role,
            ("iam", "SimulatePrincipalPolicy"): self._simulate,
        }

    def knows(self, service: str) -> bool:
        """Whether anything of the service is answered."""
        return service in _NAMESPACES

    def operation(self, service: str, action: str) -> Callable[[Form, str], Answer] | None:
        """What answers a form and the key that it was signed with; None: nothing does.

        Raises ``ApiError`` when it is called with what AWS would refuse.
        """
        found = self._operations.get((service, action))
        if found is None:
            return None

        def answer(form: Form, key_id: str) -> Answer:
            result = found(form, key_id)
            return lambda request: (
                f'<{action}Response xmlns="{_NAMESPACES[service]}">'
                f"<{action}Result>{result}</{action}Result>"
                f"<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata>"
                f"</{action}Response>"
            ).encode()

        return answer

    def _caller(self, _form: Form, _key_id: str) -> str:
        arn = f"arn:aws:sts::{self._account}:assumed-role/{ROLE}/{_SESSION}"
        user = f"{_role_id(self._account, ROLE)}:{_SESSION}"
        return _xml(Arn=arn, UserId=user, Account=self._account)

    def _assume(self, form: Form, key_id: str) -> str:
        arn, session = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        found = _ROLE_ARN.fullmatch(arn)
        if found is None:
            raise ApiError("ValidationError", f"{arn} is invalid")
        account, name = found.groups()
        who = _xml(
            AssumedRoleId=f"{_role_id(account, name)}:{session}",
            Arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        )
        return f"<AssumedRoleUser>{who}</AssumedRoleUser>{self._credentials(form, key_id)}"

    def _token(self, form: Form, key_id: str) -> str:
        return self._credentials(form, key_id)

    def _role(self, form: Form, _key_id: str) -> str:
        name = form.get("RoleName", "")
        if not _NAME.fullmatch(name):
            raise ApiError(
                "ValidationError",
                "The specified value for roleName is invalid. It must contain only alphanumeric "
                "characters and/or the following: +=,.@_-",
            )
        role = _xml(
            Path="/",
            RoleName=name,
            RoleId=_role_id(self._account, name),
            Arn=f"arn:aws:iam::{self._account}:role/{name}",
            CreateDate=_at(0),
            AssumeRolePolicyDocument=quote(json.dumps(_TRUST)),
            MaxSessionDuration=str(_DURATION_S),
        )
        return f"<Role>{role}</Role>"

    def _simulate(self, form: Form, _key_id: str) -> str:
        """Every action on every resource is allowed: so it is when it is called here."""
        resources = _members(form, "ResourceArns") or ["*"]
        results = [
            f"<member>{_xml(EvalActionName=one, EvalResourceName=where, EvalDecision='allowed')}"
            "</member>"
            for one in _members(form, "ActionNames")
            for where in resources
        ]
        return (
            f"<EvaluationResults>{''.join(results)}</EvaluationResults>"
            "<IsTruncated>false</IsTruncated>"
        )

    def _credentials(self, form: Form, key_id: str) -> str:
        """The caller's own keys under a new token: the only ones whose signatures verify."""
        seconds = form.get("DurationSeconds", "")
        lives = int(seconds) if seconds.isascii() and seconds.isdigit() else _DURATION_S
        made = _xml(
            AccessKeyId=key_id or "test",
            SecretAccessKey=self._keys.get(key_id, "test"),
            SessionToken=secrets.token_urlsafe(32),
            Expiration=_at(self._clock.time() + lives),
        )
        return f"<Credentials>{made}</Credentials>"


def _members(form: Form, name: str) -> list[str]:
    """A list as the query protocol has it: ``Name.member.1``, counted from 1."""
    found: list[str] = []
    while (one := form.get(f"{name}.member.{len(found) + 1}")) is not None:
        found.append(one)
    return found


def _xml(**members: str) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())


def _role_id(account: str, name: str) -> str:
    """The same for the same role, always."""
    return f"AROA{sha256(f'{account}/{name}'.encode()).hexdigest()[:17].upper()}"


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
