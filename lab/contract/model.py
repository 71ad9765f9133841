"""What a check of the hosting contract says, and about what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

import yaml

from lab.engine.docker.engine import DockerEngine
from lab.spec import Platform

DOCS: Final = "https://docs.aws.amazon.com/sagemaker/latest/dg/"
"""Where AWS's pages about it are."""


@unique
class Verdict(StrEnum):
    """How it went. ``SKIP`` is a rule that could not be tried here, with the reason."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the contract, as ``rules.yaml`` words it."""

    id: str
    """Short and stable, for JUnit and for people: ``sigterm``, ``ping-under-load``."""
    title: str
    """The rule itself, as a statement: ``SIGTERM ends the container within 30 s``."""
    why: str
    """What happens on SageMaker to an image that breaks it."""
    change: str
    """What to change, imperative."""
    source: str
    """Which page or model says so."""


def rules() -> Mapping[str, Sequence[Rule]]:
    """Every rule under its heading, in the order in which they are tried and shown."""
    text = resources.files("lab.contract").joinpath("rules.yaml").read_text(encoding="utf-8")
    return {
        section: [Rule(id=name, **words) for name, words in under.items()]
        for section, under in yaml.safe_load(text)["rules"].items()
    }


Judged: TypeAlias = tuple[Verdict, str]
"""How it went, and what was seen."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was seen, with what this image needs: a cure that fits, the log that shows the cause."""

    verdict: Verdict
    seen: str
    data: Any = None
    """The same for machines: figures, lists."""
    change: str = ""
    """What to change, imperative; empty where the rule's own words fit."""
    log: str = ""
    """The container's last lines, as ``lab.start.cause`` picks them."""
    not_for: Sequence[str] = ()
    """Kinds of endpoint that this costs, where that depends on what was seen."""
    up_to_bytes: int | None = None
    """The largest body that is taken, where that is less than an endpoint passes on."""


Tried: TypeAlias = Judged | tuple[Verdict, str, Any] | Told | None
"""The same, with figures and lists for programs where there are any; None where a rule does not
apply."""


@dataclass(frozen=True, kw_only=True)
class RuleFinding:
    """What was seen when a rule was tried."""

    rule: Rule
    verdict: Verdict
    seen: str
    data: Any = None
    """The same for machines: figures, lists."""
    cure: str = ""
    """What to change in this image, where that is known better than the rule's words say."""
    log: str = ""
    """The container's last lines where they show the cause."""
    not_for: Sequence[str] = ()
    """Kinds of endpoint that this costs, where that depends on what was seen."""
    up_to_bytes: int | None = None
    """The largest body that is taken, where that is less than an endpoint passes on."""
    section: str = ""
    """Under which heading it is shown; set by whoever runs the rules."""
    seconds: float = 0.0
    """How long it took to try."""

    @property
    def change(self) -> str:
        """What to change, imperative."""
        return self.cure or self.rule.change


@dataclass(frozen=True, kw_only=True)
class CheckedImage:
    """What is checked."""

    image: str
    platform: Platform
    model_dir: PurePosixPath | None
    """Unpacked model; None mounts nothing."""
    payload: bytes | None
    content_type: str
    archive: Path | None = None
    instance_type: str | None = None
    """On which it is to be deployed; None is not said."""


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """With what it is checked."""

    engine: DockerEngine
    native: Platform
    """What the engine's machine runs without emulation."""
    owner: str
    """Label of everything that a check makes."""
    work: Path
    here: bool = False
    """Whether the engine is of this machine, whose other work then shows."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The whole check."""

    image: str
    platform: Platform | None
    """None where the image was not looked at, for its model data are refused."""
    findings: Sequence[RuleFinding]
    seconds: float = 0.0
    emulated: bool = False
    """Whether the image ran under emulation: rules about time were not judged."""
    untried: Sequence[Rule] = ()
    """The rules that were not got to: Ctrl-C or SIGTERM cut it short, or model data are refused."""
    cut_short: bool = False

    @property
    def failed(self) -> bool:
        return any(one.verdict is Verdict.FAIL for one in self.findings)
