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


def targets(fleet: Fleet, store: SqliteStore) -> Sequence[ScrapeTarget]:
    """An entry for each container that answers now; all label values are strings, as Prometheus
    asks.
    """
    found: list[ScrapeTarget] = []
    for live in fleet.endpoints():
        models = _models(live.name, store)
        for variant in live.all:
            for server in variant.pool.servers:
                host, port = server.address
                labels = {
                    "endpoint": live.name,
                    "variant": variant.name,
                    "server": server.id,
                    "model": models.get(variant.name, ""),
                    "kind": live.kind.value,
                }
                address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                found.append({"targets": [address], "labels": labels})
    return found


def _models(endpoint: str, store: SqliteStore) -> Mapping[str, str]:
    record = store.endpoint(endpoint)
    made_from = origin(record, record.config_name, store) if record else None
    if made_from is None:
        return {}
    return {
        variant["VariantName"]: variant.get("ModelName", "")
        for variant in variants_of(made_from.config.body)
    }
