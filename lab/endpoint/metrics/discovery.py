"""Where the model containers are, for Prometheus's HTTP service discovery."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from lab.endpoint.live import Fleet
from lab.endpoint.plans import origin, variants_of
from lab.endpoint.store import SqliteStore


class ScrapeTarget(TypedDict):
    """An entry of the document that ``http_sd_configs`` reads."""

    targets: list[str]
    labels: dict[str, str]


class Discovery:
    """Lists the containers that answer now."""

    def __init__(self, *, fleet: Fleet, store: SqliteStore) -> None:
        self._fleet = fleet
        self._store = store

    def targets(self) -> Sequence[ScrapeTarget]:
        """One entry for each container; all label values are strings, as Prometheus asks."""
        found: list[ScrapeTarget] = []
        for live in self._fleet.endpoints():
            models = self._models(live.name)
            for one in live.all:
                for server in one.pool.servers:
                    host, port = server.address
                    labels = {
                        "endpoint": live.name,
                        "variant": one.name,
                        "server": server.id,
                        "model": models.get(one.name, ""),
                        "kind": live.kind.value,
                    }
                    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                    found.append({"targets": [address], "labels": labels})
        return found

    def _models(self, endpoint: str) -> Mapping[str, str]:
        record = self._store.endpoint(endpoint)
        if record is None:
            return {}
        made_from = origin(record, record.config_name, self._store)
        if made_from is None:
            return {}
        return {
            variant["VariantName"]: variant.get("ModelName", "")
            for variant in variants_of(made_from.config.body)
        }
