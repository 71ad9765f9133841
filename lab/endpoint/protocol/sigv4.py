"""AWS Signature Version 4: read always, verified when keys are configured.

AWS's description: *Signature Version 4 signing process*, IAM user guide. Checked in the tests
against botocore's own signer.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab.endpoint.protocol.errors import ApiError

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "sagemaker"
SKEW_S: Final = 300.0
"""How far the client's clock may be off, as AWS's own message says: ``5 min.``"""

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_STAMP_LIKE: Final = re.compile(r"\d{8}T\d{6}Z")
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_SCOPE_PARTS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """What an ``Authorization`` header says."""

    key_id: str
    date: str
    region: str
    service: str
    signed_headers: Sequence[str]
    signature: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A request as it is signed. Header names in lower case."""

    method: str
    path: str
    """As it came over the wire, percent-encoded."""
    query: str
    headers: Mapping[str, str]
    body: bytes


def parse(authorization: str) -> Signature:
    """Read an ``Authorization`` header. Raises ``IncompleteSignatureException``."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(
            f"Unsupported AWS 'algorithm': '{algorithm}', only {ALGORITHM} is supported. "
            f"Authorization={authorization}"
        )
    fields = {}
    for pair in rest.split(","):
        name, _, value = pair.strip().partition("=")
        fields[name] = value
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    if missing:
        raise _incomplete(f"{' '.join(missing)} Authorization={authorization}")
    scope = fields["Credential"].rsplit("/", _SCOPE_PARTS - 1)
    if len(scope) != _SCOPE_PARTS or scope[4] != "aws4_request" or not all(scope):
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{fields['Credential']}'"
        )
    return Signature(
        key_id=scope[0],
        date=scope[1],
        region=scope[2],
        service=scope[3],
        signed_headers=fields["SignedHeaders"].split(";"),
        signature=fields["Signature"],
    )


class Verifier:
    """Admits requests: all whose signature can be read, or all whose signature is right."""

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        region: str,
        service: str = SERVICE,
        refused_status: int = HTTPStatus.FORBIDDEN,
    ) -> None:
        self._keys = dict(keys)
        self._region = region
        self._service = service
        self._refused = refused_status

    @property
    def verifies(self) -> bool:
        return bool(self._keys)

    def admit(self, request: Signed, *, now: float) -> None:
        """Return, or raise the error that AWS answers with. ``now`` in seconds since the epoch.

        Without configured keys a request without a signature is let in too: the lab is on
        loopback, and a plain ``curl`` is to work.
        """
        authorization = request.headers.get("authorization")
        if authorization is None:
            if self._keys:
                raise self._error(
                    "MissingAuthenticationTokenException", "Missing Authentication Token"
                )
            return
        by = parse(authorization)
        if self._keys:
            self._verify(by, request, now)

    def _verify(self, by: Signature, request: Signed, now: float) -> None:
        secret = self._keys.get(by.key_id)
        if secret is None:
            raise self._error(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        stamp = self._stamp(by, request, now)
        if by.region != self._region:
            raise self._invalid(
                f"Credential should be scoped to a valid region, not '{by.region}'."
            )
        if by.service != self._service:
            raise self._invalid(
                f"Credential should be scoped to correct service: '{self._service}'."
            )
        unsigned = {"host"} - set(by.signed_headers)
        if unsigned:
            raise self._invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
            )
        absent = [name for name in by.signed_headers if name not in request.headers]
        expected = "" if absent else signature(by, request, secret=secret, stamp=stamp)
        if absent or not hmac.compare_digest(expected.encode(), by.signature.encode()):
            raise self._invalid(
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method. "
                "Consult the service documentation for details."
            )
        self._body_as_signed(request)

    def _body_as_signed(self, request: Signed) -> None:
        signed = request.headers.get("x-amz-content-sha256", _UNSIGNED)
        if signed == _UNSIGNED:
            return
        computed = hashlib.sha256(request.body).hexdigest()
        if signed == computed:
            return
        raise self._invalid(
            "The value passed in as x-amz-content-sha256 does not match the computed payload hash. "
            f"Computed digest: {computed}; expected hash: {signed}"
        )

    def _stamp(self, by: Signature, request: Signed, now: float) -> str:
        stamp = request.headers.get("x-amz-date", "")
        try:
            if not _STAMP_LIKE.fullmatch(stamp):
                raise ValueError(stamp)  # noqa: TRY301 - one answer to all that is no date
            at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise _incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' "
                f"header in the form YYYYMMDD'T'HHMMSS'Z', got '{stamp}'."
            ) from None
        if not stamp.startswith(by.date):
            raise self._invalid(
                f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
                f"from HTTP: '{by.date}' != '{stamp[:8]}', from '{stamp}'."
            )
        if at < now - SKEW_S:
            raise self._invalid(
                f"Signature expired: {stamp} is now earlier than {_at(now - SKEW_S)} "
                f"({_at(now)} - 5 min.)"
            )
        if at > now + SKEW_S:
            raise self._invalid(
                f"Signature not yet current: {stamp} is still later than {_at(now + SKEW_S)} "
                f"({_at(now)} + 5 min.)"
            )
        return stamp

    def _invalid(self, message: str) -> ApiError:
        return self._error("InvalidSignatureException", message)

    def _error(self, code: str, message: str) -> ApiError:
        return ApiError(code, message, status=self._refused)


class _Signer(SigV4Auth):  # type: ignore[misc]
    """Signs the headers that the client has signed, and no others."""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers


def signature(by: Signature, request: Signed, *, secret: str, stamp: str) -> str:
    """The signature that this request should carry, in hexadecimal, as botocore makes it."""
    signed = AWSRequest(
        method=request.method,
        url=f"http://localhost{request.path}?{request.query}",
        headers={name: request.headers[name] for name in by.signed_headers},
        data=request.body,
    )
    signed.context["timestamp"] = stamp
    signer = _Signer(Credentials(by.key_id, secret), by.service, by.region)
    text = signer.string_to_sign(signed, signer.canonical_request(signed))
    found: str = signer.signature(text, signed)
    return found


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_STAMP)


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignatureException", message)
