"""AWS's error codes, and botocore's exceptions, by what they mean to who asks."""

import re
from collections.abc import Sequence
from enum import StrEnum, unique
from typing import Final

from botocore import exceptions as refused
from botocore.parsers import ResponseParserError


@unique
class ErrorKind(StrEnum):
    """What went wrong, as far as it matters for what to do next."""

    CREDENTIALS = "no credentials"
    REJECTED = "credentials rejected"
    EXPIRED = "credentials expired"
    CLOCK = "clock"
    REGION = "region"
    DENIED = "permission denied"
    QUOTA = "quota reached"
    THROTTLED = "throttled"
    CONNECTION = "connection"
    ABSENT = "not there"
    TAKEN = "there already"
    BUSY = "busy"
    INVALID = "not valid"
    UNCHANGED = "nothing to change"
    MODEL = "model"
    SERVICE = "service"
    SETTINGS = "settings"
    OTHER = "other"


_NAMED: Final[Sequence[tuple[ErrorKind, re.Pattern[str]]]] = [
    # The first that matches counts. A HEAD, whose answer has no body, has an HTTP status as code.
    (kind, re.compile(pattern, re.VERBOSE))
    for kind, pattern in (
        (
            ErrorKind.REJECTED,
            """Signature | InvalidAccessKeyId | InvalidClientTokenId | InvalidToken$ | AuthFailure
            | MissingAuthenticationToken | UnrecognizedClient""",
        ),
        (ErrorKind.EXPIRED, "ExpiredToken | TokenRefreshRequired | ^UnauthorizedException$"),
        (ErrorKind.CLOCK, "^Request (Expired | InTheFuture | TimeTooSkewed)"),
        (
            ErrorKind.REGION,
            """AuthorizationHeaderMalformed | IllegalLocationConstraint | OptInRequired
            | PermanentRedirect | RegionDisabled | SubscriptionRequired | ^301$""",
        ),
        (
            ErrorKind.DENIED,
            """Denied | Forbidden | NotAuthorized | UnauthorizedOperation | AllAccessDisabled
            | AccountProblem | AccessNotEnabled | BlockedByOrganization | NotInAllFeaturesMode
            | InsufficientCapabilities | ^403$""",
        ),
        (
            ErrorKind.THROTTLED,
            """Throttl | SlowDown | TooManyRequests | (Request | Bandwidth) LimitExceeded
            | ProvisionedThroughputExceeded | PriorRequestNotComplete | ^429$""",
        ),
        (ErrorKind.QUOTA, "(Limit | Quota | Length) Exceeded | ^TooMany"),
        (ErrorKind.CONNECTION, "IncompleteBody | Request (Aborted | Timeout)"),
        (ErrorKind.INVALID, "^Kms | ^ReferencedImagesNotFound"),  # what a request names, not wants
        (ErrorKind.ABSENT, "^NoSuch | NotFound | ^404$"),
        (ErrorKind.TAKEN, "Already (Exists | OwnedByYou) | NotEmpty"),
        (
            ErrorKind.BUSY,
            """Concurrent (Modification | Update) | Conflict | TemporarilyUnmodifiable
            | InvalidChangeSetStatus | InvalidOperation | OperationAborted | InProgress
            | ResourceInUse""",
        ),
        (ErrorKind.MODEL, "^Model (Error | NotReady)"),
        (
            ErrorKind.SERVICE,
            """^Internal | ServerException | Service (Exception | Failure | Unavailable)
            | FailedResourceAccess | PolicyEvaluation | UnableToGetUpstream | ^50[0234]$""",
        ),
        (
            ErrorKind.INVALID,
            """Invalid | Malformed | Missing | Validation | Illegal | Mismatch | DoesNotMatch
            | TooLarge | TooSmall | BadDigest | EmptyUpload | Inaccessible | NotAllowed
            | NotAttachable | TokenExpired | UnknownOperation | Unmodifiable | Unsupported
            | ^4(00|12)$""",
        ),
    )
]


def kind_of_code(code: str) -> ErrorKind:
    """What a code of AWS's means, by the words in it: services name the same in many ways."""
    return next((kind for kind, named in _NAMED if named.search(code)), ErrorKind.OTHER)


RAISED: Final[Sequence[tuple[type[Exception], ErrorKind]]] = (
    # What botocore raises when there was no answer, most specific first.
    (refused.NoCredentialsError, ErrorKind.CREDENTIALS),
    (refused.PartialCredentialsError, ErrorKind.CREDENTIALS),
    (refused.ProfileNotFound, ErrorKind.CREDENTIALS),
    (refused.NoAuthTokenError, ErrorKind.CREDENTIALS),
    (refused.UnauthorizedSSOTokenError, ErrorKind.EXPIRED),
    (refused.SSOTokenLoadError, ErrorKind.EXPIRED),
    (refused.SSOError, ErrorKind.EXPIRED),
    (refused.LoginError, ErrorKind.EXPIRED),
    (refused.TokenRetrievalError, ErrorKind.EXPIRED),
    (refused.CredentialRetrievalError, ErrorKind.CREDENTIALS),
    (refused.MetadataRetrievalError, ErrorKind.CREDENTIALS),
    (refused.RefreshWithMFAUnsupportedError, ErrorKind.EXPIRED),
    (refused.UnknownCredentialError, ErrorKind.CREDENTIALS),
    (refused.UnknownTokenProviderError, ErrorKind.CREDENTIALS),
    (refused.NoRegionError, ErrorKind.REGION),
    (refused.InvalidRegionError, ErrorKind.REGION),
    (refused.UnknownRegionError, ErrorKind.REGION),
    (refused.ServiceNotInRegionError, ErrorKind.REGION),
    (refused.UnknownEndpointError, ErrorKind.REGION),
    (refused.EndpointConnectionError, ErrorKind.CONNECTION),
    (refused.ConnectionError, ErrorKind.CONNECTION),
    (refused.HTTPClientError, ErrorKind.CONNECTION),
    (refused.IncompleteReadError, ErrorKind.CONNECTION),
    (refused.ChecksumError, ErrorKind.CONNECTION),
    (refused.FlexibleChecksumError, ErrorKind.CONNECTION),
    (refused.ParamValidationError, ErrorKind.INVALID),
    (refused.ValidationError, ErrorKind.INVALID),
    (refused.BotoCoreError, ErrorKind.SETTINGS),
    # A page instead of an answer: of a proxy, a portal, or a service that broke down.
    (ResponseParserError, ErrorKind.SERVICE),
)

_TOLD: Final[Sequence[tuple[ErrorKind, re.Pattern[str], ErrorKind]]] = (
    # What only AWS's words tell apart, under one code.
    (
        ErrorKind.REJECTED,
        re.compile(r"Signature (?:expired|not yet current)", re.IGNORECASE),
        ErrorKind.CLOCK,
    ),
    # CloudFormation and SageMaker call an absent thing an invalid request.
    (
        ErrorKind.INVALID,
        re.compile(r"does not exist|could not find|not found", re.IGNORECASE),
        ErrorKind.ABSENT,
    ),
    (
        ErrorKind.INVALID,
        re.compile(r"quota|limit (?:exceeded|is )|exceeds? .*limit", re.IGNORECASE),
        ErrorKind.QUOTA,
    ),
    (ErrorKind.INVALID, re.compile("No updates are to be performed"), ErrorKind.UNCHANGED),
)


def code_of(error: refused.ClientError) -> str:
    """AWS's code, e.g. ``AccessDenied``; an HTTP status where a HEAD had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def kind_of(error: Exception) -> ErrorKind:
    """What kind of failure a foreign exception is."""
    if isinstance(error, refused.ClientError):
        kind = kind_of_code(code_of(error))
        words = str(error.response.get("Error", {}).get("Message", ""))
        told = (told for of, named, told in _TOLD if of is kind and named.search(words))
        return next(told, kind)
    return next((kind for of, kind in RAISED if isinstance(error, of)), ErrorKind.OTHER)


def is_absent(error: Exception) -> bool:
    """Whether AWS says that there is no such thing."""
    return kind_of(error) is ErrorKind.ABSENT
