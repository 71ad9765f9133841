"""``deaths.yaml``: logs of containers that died, and what is to be found in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lab.start.explain import Explanation, Known, explain


@dataclass(frozen=True, kw_only=True)
class DeathLog:
    """A log, how it ended, what is known beside it; and what is to be found."""

    name: str
    kind: str
    says: str
    """Part of what is told."""
    cure: str
    """Part of the cure."""
    log: str
    ended: Mapping[str, Any]
    known: Known

    def __str__(self) -> str:
        return self.name

    def explain(self) -> Explanation | None:
        return explain(self.log, known=self.known, **self.ended)


def _read(row: Mapping[str, Any]) -> DeathLog:
    head = row.get("head", "").encode()
    return DeathLog(
        name=row["name"],
        kind=row["kind"],
        says=row["says"],
        cure=row["cure"],
        log=row["log"],
        ended={
            "exit_code": row.get("exit", 1),
            "oom_killed": row.get("oom_killed", False),
            "refusal": row.get("refusal", ""),
        },
        known=Known(
            model_files=row.get("model_files"),
            disk_free_bytes=row.get("disk_free"),
            head=lambda _: head,
        ),
    )


_ROWS: Final = yaml.safe_load(Path(__file__).with_name("deaths.yaml").read_text(encoding="utf-8"))
LOGS: Final[Sequence[DeathLog]] = [_read(row) for row in _ROWS]
_BY_NAME: Final = {one.name: one.log for one in LOGS}
BEHIND_NGINX: Final = _BY_NAME["a module behind NGINX"]
UVICORN_WORKERS: Final = _BY_NAME["workers behind a living master"]
