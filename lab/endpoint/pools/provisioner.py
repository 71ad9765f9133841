"""Starting and removing servers so that a kill at any instant leaves a trace of each."""

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import Final

from lab.endpoint.clock import Clock
from lab.endpoint.launching import Launcher
from lab.endpoint.live import Death, LaunchFailed, Server, VariantPlan
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.records import EndpointKind, ServerRecord
from lab.endpoint.store import SqliteStore

_LOG = logging.getLogger(__name__)

_STOP_AGAIN_S: Final = (1.0, 5.0)
"""Waits before an engine that would not stop a container is asked again."""


def new_server_id(kind: EndpointKind) -> str:
    """As AWS names what a log stream is called after: an instance, or a serverless container."""
    if kind is EndpointKind.SERVERLESS:
        return str(uuid.uuid4())
    return f"i-{uuid.uuid4().hex[:17]}"


class Provisioner:
    """The only one who asks the launcher for servers, and who gives them back."""

    def __init__(
        self, *, store: SqliteStore, launcher: Launcher, clock: Clock, meter: Counters
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._meter = meter

    async def launch(self, plan: VariantPlan, *, generation: int) -> Server:
        """A new server that answers. Raises ``LaunchFailed``; when cancelled, nothing is left."""
        server_id = new_server_id(plan.kind)
        trace = ServerRecord(
            id=server_id,
            endpoint=plan.endpoint,
            variant=plan.name,
            generation=generation,
            container=server_id,
            created_at=self._clock.time(),
        )
        self._store.add_server(trace)
        try:
            server = await self._launcher.launch(plan, generation=generation, server_id=server_id)
        except (LaunchFailed, asyncio.CancelledError) as ended:
            # Both promise that the container is gone.
            self._store.delete_server(server_id)
            if isinstance(ended, LaunchFailed):
                self._meter.start_failed(plan.endpoint, plan.name)
            raise
        except Exception as error:
            # No promise: the trace stays, and the next life of the emulator sweeps.
            _LOG.exception("launching %s of %s/%s", server_id, plan.endpoint, plan.name)
            self._meter.start_failed(plan.endpoint, plan.name)
            msg = f"The container could not be started: {str(error) or type(error).__name__}"
            raise LaunchFailed(msg) from error
        if server.container != trace.container:
            self._store.add_server(replace(trace, container=server.container))
        server.idle_since = self._clock.monotonic()
        if server.setup is not None:
            self._meter.started(plan.endpoint, plan.name, server.setup)
        return server

    async def stop(self, server: Server) -> None:
        """SIGTERM, 30 s, SIGKILL; its trace goes when it is gone."""
        for wait_s in (*_STOP_AGAIN_S, None):
            try:
                await self._launcher.stop(server)
            except Exception:  # noqa: BLE001 - whatever it was, it is asked again
                _LOG.exception("stopping %s of %s/%s", server.id, server.endpoint, server.variant)
                if wait_s is None:
                    return  # the trace stays: the next life of the emulator sweeps
                await self._clock.sleep(wait_s)
            else:
                break
        self._store.delete_server(server.id)

    def replaced(self, server: Server, death: Death) -> None:
        """Count one that had been ready and was lost."""
        where = (server.id, server.endpoint, server.variant)
        _LOG.warning("%s of %s/%s is replaced: %s", *where, death.reason)
        self._meter.replaced(server.endpoint, server.variant, oom_killed=death.oom_killed)
