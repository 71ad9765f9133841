"""What S3, or the way to it, can say: as an ``ObjectError`` that names the location, what was said
and what to do next.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore import exceptions as refused
from urllib3.exceptions import HTTPError

from lab.errors import without_numbers

UNREACHABLE: Final = "Unreachable"
"""``ObjectError.code`` when nobody answered: the one that may pass by itself."""
CHANGED: Final = "PreconditionFailed"
"""``ObjectError.code`` when the object has another ETag than the one that was asked for."""


class ObjectError(Exception):
    """S3 refused: ``NoSuchKey``, ``NoSuchBucket``, ``AccessDenied``, or could not be reached."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_UNFIT: Final = "S3 has no bucket or object of such a name"
_KEY: Final = ("NoSuchKey", "Upload the object, or correct the key.")
_DENIED: Final = ("AccessDenied", "Allow these credentials to do that, or use others.")
_REGION: Final = ("PermanentRedirect", "Set the region to the bucket's own.")
_BUSY: Final = ("SlowDown", "Try again later.")
_BROKEN: Final = ("InternalError", "Try again later.")
_BROKE: Final = (UNREACHABLE, "Try again: the connection ended too soon.")
_OTHER: Final = (CHANGED, "Its ETag is another: correct the one named, or see who writes it.")
_DOWN: Final = (UNREACHABLE, "Start it, or set AWS_ENDPOINT_URL_S3 to one that runs.")

_ANSWERED: Final[Mapping[str, tuple[str, str]]] = {
    # What S3 answers with, by its own code: our code (S3's name of it), and what to do next.
    **dict.fromkeys(("NoSuchKey", "NotFound", "404"), _KEY),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "Forbidden", "403"), _DENIED),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed"), _REGION),
    **dict.fromkeys(("SlowDown", "ServiceUnavailable", "503"), _BUSY),
    **dict.fromkeys(("InternalError", "500"), _BROKEN),
    "NoSuchBucket": ("NoSuchBucket", "Create the bucket, or correct its name."),
    "InvalidBucketName": ("NoSuchBucket", "Correct the bucket's name."),
    "InvalidAccessKeyId": ("AccessDenied", "Set AWS_ACCESS_KEY_ID to a key this S3 knows."),
    "SignatureDoesNotMatch": ("AccessDenied", "Set AWS_SECRET_ACCESS_KEY to that key's secret."),
    "ExpiredToken": ("AccessDenied", "Get new temporary credentials."),
    **dict.fromkeys(("PreconditionFailed", "412"), _OTHER),
    "EntityTooLarge": ("EntityTooLarge", "Send a smaller object."),
}

_RAISED: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    # What botocore raises when there was no answer, most specific first; the last takes the rest.
    (refused.NoCredentialsError, "AccessDenied", "Set AWS_ACCESS_KEY_ID and its secret."),
    (refused.PartialCredentialsError, "AccessDenied", "Set the credentials that are missing."),
    (refused.CredentialRetrievalError, "AccessDenied", "See to where credentials come from."),
    (refused.ProfileNotFound, "AccessDenied", "Set AWS_PROFILE to a profile that exists."),
    (refused.SSLError, UNREACHABLE, "Trust its certificate authority (AWS_CA_BUNDLE)."),
    (refused.ProxyConnectionError, UNREACHABLE, "See to the proxy (HTTPS_PROXY, NO_PROXY)."),
    (refused.ConnectionError, *_DOWN),
    (refused.IncompleteReadError, *_BROKE),
    (refused.ResponseStreamingError, *_BROKE),
    (refused.HTTPClientError, *_DOWN),
    (refused.ParamValidationError, "InvalidURI", "Write s3://BUCKET/KEY."),
    (refused.BotoCoreError, "InternalError", "Check the AWS configuration."),
)


@contextmanager
def translating(doing: str, endpoint: str) -> Iterator[None]:
    """Whatever S3 answers, or the way to it raises, as an ``ObjectError``."""
    try:
        yield
    except refused.ClientError as error:
        details = error.response.get("Error", {})
        own_code = str(details.get("Code", ""))
        code, remedy = _ANSWERED.get(own_code, (own_code or "InternalError", "See what S3 said."))
        words = details.get("Message") or own_code
        raise ObjectError(
            code, f"{doing}: S3 at {endpoint} said {code} ({words}). {remedy}"
        ) from error
    except (refused.BotoCoreError, HTTPError, OSError) as error:
        code, remedy = next(
            ((code, remedy) for kind, code, remedy in _RAISED if isinstance(error, kind)), _BROKE
        )
        what = f"S3 at {endpoint} cannot be reached: " if code == UNREACHABLE else ""
        unfit = isinstance(error, refused.ParamValidationError)
        said = _UNFIT if unfit else without_numbers(str(error))
        raise ObjectError(code, f"{doing}: {what}{said}. {remedy}".replace("..", ".")) from error
