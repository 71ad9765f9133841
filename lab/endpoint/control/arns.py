"""Amazon Resource Names of what the control plane makes."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Noun = Literal["model", "endpoint-config", "endpoint"]

_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]*):([0-9]{12}):(model|endpoint-config|endpoint)"
    r"/([a-zA-Z0-9-]+)"
)
_WORDS: Final[dict[Noun, str]] = {
    "model": "model",
    "endpoint-config": "endpoint configuration",
    "endpoint": "endpoint",
}


@dataclass(frozen=True, kw_only=True)
class Arns:
    """ARNs of one account in one region; the case of names is kept."""

    region: str
    account: str

    def arn(self, noun: Noun, name: str) -> str:
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{noun}/{name}"

    @property
    def partition(self) -> str:
        """``aws``, but for China's regions and the US government's."""
        for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
            if self.region.startswith(start):
                return partition
        return "aws"

    def parse(self, arn: str) -> tuple[Noun, str] | None:
        """What an ARN names; None unless it is one of this account and region."""
        found = _ARN.fullmatch(arn)
        if found is None or (found[1], found[2]) != (self.region, self.account):
            return None
        noun: Noun
        for noun in _WORDS:
            if noun == found[3]:
                return noun, found[4]
        return None


def in_words(noun: Noun) -> str:
    """As error messages call it."""
    return _WORDS[noun]
