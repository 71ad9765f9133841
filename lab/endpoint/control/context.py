"""What every operation of the control plane works with."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.endpoint.clock import Clock
from lab.endpoint.control.arns import Arns, Noun, in_words
from lab.endpoint.instances import Machine
from lab.endpoint.live import Fleet
from lab.endpoint.plans import notes, origin
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.records import Body, EndpointRecord, Resource
from lab.endpoint.store import SqliteStore


@dataclass(frozen=True, kw_only=True)
class ControlContext:
    """The store, the fleet and the clock, and errors that name a resource."""

    store: SqliteStore
    fleet: Fleet
    clock: Clock
    names: Arns
    machine: Machine | None
    """None: unknown, and never said to be too small."""

    def missing(self, noun: Noun, name: str) -> ApiError:
        """There is none of that name."""
        return validation_exception(
            f'Could not find {in_words(noun)} "{self.names.arn(noun, name)}".'
        )

    def taken(self, noun: Noun, name: str) -> ApiError:
        """There is one of that name already."""
        return validation_exception(
            f'Cannot create already existing {in_words(noun)} "{self.names.arn(noun, name)}".'
        )

    def model(self, name: str) -> Resource:
        """That model; raises ``ApiError``."""
        found = self.store.model(name)
        if found is None:
            raise self.missing("model", name)
        return found

    def config(self, name: str) -> Resource:
        """That endpoint configuration; raises ``ApiError``."""
        found = self.store.config(name)
        if found is None:
            raise self.missing("endpoint-config", name)
        return found

    def endpoint(self, name: str) -> EndpointRecord:
        """That endpoint; raises ``ApiError``."""
        found = self.store.endpoint(name)
        if found is None:
            raise self.missing("endpoint", name)
        return found

    def notes(self, row: EndpointRecord, config_name: str) -> Mapping[str, str]:
        """By variant, what this machine cannot give its containers."""
        config = self.config_of(row, config_name)
        return {} if config is None or self.machine is None else notes(config, self.machine)

    def config_of(self, row: EndpointRecord, config_name: str) -> Body | None:
        """One of an endpoint's configurations; None if it is not known any more."""
        found = origin(row, config_name, self.store)
        return None if found is None else found.config.body
