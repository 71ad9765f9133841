"""All endpoints' servers: who works on what, and how a life begins and ends."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from lab.endpoint.clock import Clock
from lab.endpoint.deploy.builder import Builder
from lab.endpoint.deploy.deployer import FleetDeployer, Plans
from lab.endpoint.deploy.pinning import Pinning
from lab.endpoint.deploy.site import DeploymentSite, InService
from lab.endpoint.launching import Launcher
from lab.endpoint.live import LaunchFailed, LiveEndpoint, Server, VariantPlan
from lab.endpoint.logged import logged
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.pools.base import PoolContext
from lab.endpoint.pools.provisioner import Provisioner
from lab.endpoint.records import EndpointRecord, ServerRecord, Status
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore

_LOG = logging.getLogger(__name__)

_RESUMED = {Status.IN_SERVICE, Status.UPDATING, Status.ROLLING_BACK}


class _Worker:
    """The one who works on an endpoint, one operation at a time."""

    def __init__(self, site: DeploymentSite) -> None:
        self.site = site
        self.pending = False
        self.task: asyncio.Task[None] | None = None
        self.operation: asyncio.Task[None] | None = None
        self.deleting = False


class EndpointFleet:
    """Implements ``live.Fleet``, and begins and ends it."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        launcher: Launcher,
        clock: Clock,
        meter: Counters,
        settings: EmulatorSettings,
        plans: Plans,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._launcher = launcher
        rng = rng or random.Random()
        provisioner = Provisioner(store=store, launcher=launcher, clock=clock, meter=meter)
        context = PoolContext(
            provisioner=provisioner, launcher=launcher, clock=clock, settings=settings
        )
        self._pinning = Pinning(store=store, launcher=launcher)
        self._deployer = FleetDeployer(
            store=store,
            plans=plans,
            builder=Builder(context=context, rng=rng),
            pinning=self._pinning,
            clock=clock,
            rng=rng,
        )
        self._workers: dict[str, _Worker] = {}
        self._closed = False

    # --- what requests see -------------------------------------------------------------------

    def live(self, endpoint: str) -> LiveEndpoint | None:
        worker = self._workers.get(endpoint)
        return None if worker is None else worker.site.live

    def endpoints(self) -> Sequence[LiveEndpoint]:
        sites = (worker.site for worker in self._workers.values())
        return [site.live for site in sites if site.live is not None]

    def troubles(self, endpoint: str) -> Mapping[str, str]:
        return self._launcher.troubles(endpoint)

    # --- the beginning -----------------------------------------------------------------------

    async def start(self) -> None:
        """Adopt or remove what an earlier life left, go on with what was under way."""
        records = self._store.endpoints()
        known: dict[str, InService] = {}
        for record in records:
            if record.status in _RESUMED:
                try:
                    known[record.name] = self._deployer.in_service(record)
                except LaunchFailed as failed:
                    self._deployer.not_resumed(record, failed.reason)
                except Exception as error:  # noqa: BLE001 - the others go on
                    _LOG.exception("resuming %s", record.name)
                    self._deployer.not_resumed(record, f"{type(error).__name__}: {error}")
        adopted = await self._adopt(records, {name: one.plans for name, one in known.items()})
        for record in records:
            if record.name in known:
                self._deployer.resume(
                    self._worker(record.name).site,
                    record,
                    known[record.name],
                    adopted.get(record.name, {}),
                )
        await self._pinning.let_go()
        for record in records:
            self.reconcile(record.name)

    async def _adopt(
        self,
        records: Sequence[EndpointRecord],
        plans: Mapping[str, Sequence[VariantPlan]],
    ) -> Mapping[str, Mapping[str, Sequence[Server]]]:
        """Servers of the fleets in service, by endpoint and variant; the others are removed."""
        generations = {record.name: record.generation for record in records}
        wanted: list[tuple[ServerRecord, VariantPlan]] = []
        traces = self._store.servers()
        for trace in traces:
            of_endpoint = plans.get(trace.endpoint, ())
            plan = next((one for one in of_endpoint if one.name == trace.variant), None)
            if plan is not None and trace.generation == generations[trace.endpoint]:
                wanted.append((trace, plan))
        servers = await asyncio.gather(*(self._adopted(*one) for one in wanted))
        kept = [server for server in servers if server is not None]
        await self._launcher.sweep([server.id for server in kept])
        for gone in {trace.id for trace in traces} - {server.id for server in kept}:
            self._store.delete_server(gone)
        by_variant: dict[str, dict[str, list[Server]]] = defaultdict(lambda: defaultdict(list))
        for server in kept:
            by_variant[server.endpoint][server.variant].append(server)
        return by_variant

    async def _adopted(self, trace: ServerRecord, plan: VariantPlan) -> Server | None:
        with logged(_LOG, "adopting %s of %s/%s", trace.id, trace.endpoint, trace.variant):
            return await self._launcher.adopt(trace, plan)
        return None  # it is swept and launched anew

    # --- the work ----------------------------------------------------------------------------

    def reconcile(self, endpoint: str) -> None:
        if self._closed:
            return
        worker = self._worker(endpoint)
        worker.pending = True
        if worker.task is None:
            worker.task = asyncio.get_running_loop().create_task(self._work(worker))
            worker.task.add_done_callback(partial(self._on_done, worker))
        elif worker.operation is not None and not worker.deleting:
            record = self._store.endpoint(endpoint)
            if record is None or record.status is Status.DELETING:
                worker.operation.cancel()

    def _worker(self, endpoint: str) -> _Worker:
        worker = self._workers.get(endpoint)
        if worker is None:
            worker = self._workers[endpoint] = _Worker(DeploymentSite(name=endpoint))
        return worker

    async def _work(self, worker: _Worker) -> None:
        while worker.pending:
            worker.pending = False
            record = self._store.endpoint(worker.site.name)
            if record is None:
                continue
            work = self._deployer.operation(worker.site, record)
            if work is None:
                continue
            worker.deleting = record.status is Status.DELETING
            worker.operation = asyncio.get_running_loop().create_task(work)
            try:
                await asyncio.wait({worker.operation})
            except asyncio.CancelledError:
                worker.operation.cancel()
                await asyncio.wait({worker.operation})
                raise
            self._ended(worker, worker.operation)
            worker.operation = None

    def _ended(self, worker: _Worker, operation: "asyncio.Task[None]") -> None:
        if operation.cancelled():
            return
        error = operation.exception()
        if error is not None:
            _LOG.error("endpoint %s", worker.site.name, exc_info=error)
            self._deployer.give_up(
                worker.site, f"The emulator itself failed: {type(error).__name__}: {error}"
            )

    def _on_done(self, worker: _Worker, task: "asyncio.Task[None]") -> None:
        worker.task = None
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("endpoint %s", worker.site.name, exc_info=task.exception())
        site = worker.site
        if worker.pending and not self._closed:
            self.reconcile(site.name)
        elif site.live is None and site.deployed is None and not site.retiring:
            self._workers.pop(site.name, None)

    # --- the end -----------------------------------------------------------------------------

    async def close(self, *, stop_servers: bool) -> None:
        """End the background work; stop the containers or leave them to the next life."""
        self._closed = True
        workers = tuple(self._workers.values())
        tasks = [worker.task for worker in workers if worker.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.gather(*(_close(worker.site, stop_servers) for worker in workers))
        self._workers.clear()


async def _close(site: DeploymentSite, stop_servers: bool) -> None:  # noqa: FBT001
    site.live = None
    await site.background.cancel()
    pools = {*site.retiring, *(site.deployed.pools.values() if site.deployed else ())}
    await asyncio.gather(*(pool.close(stop_servers=stop_servers) for pool in pools))
