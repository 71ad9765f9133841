"""What is done for an endpoint: created, updated, scaled, deleted; one thing at a time."""

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.endpoint.clock import Clock
from lab.endpoint.deploy import policy as deploy_policy
from lab.endpoint.deploy.builder import Builder, Capacity, shortened
from lab.endpoint.deploy.pinning import Pinning
from lab.endpoint.deploy.site import DeploymentSite, InService, within
from lab.endpoint.deploy.views import Deployed, ServerPool, blended, deployed
from lab.endpoint.live import LaunchFailed, LiveEndpoint, Pool, Server, VariantPlan
from lab.endpoint.records import EndpointRecord, Resource, Status, VariantState
from lab.endpoint.store import SqliteStore

Plans = Callable[[EndpointRecord, str], tuple[Resource, Sequence[VariantPlan]]]
"""A configuration of an endpoint, by its name, and its plans: one a variant, shadows included.

Raises ``LaunchFailed`` for what is gone or cannot be emulated.
"""


class FleetDeployer:
    """Brings sites to what their records want, and the records to what has become of it.

    Each operation may be cancelled at any await, and may be begun again from its start.
    """

    def __init__(
        self,
        *,
        store: SqliteStore,
        plans: Plans,
        builder: Builder,
        pinning: Pinning,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._store = store
        self._plans = plans
        self._builder = builder
        self._pinning = pinning
        self._clock = clock
        self._rng = rng

    def operation(
        self, site: DeploymentSite, record: EndpointRecord
    ) -> Coroutine[Any, Any, None] | None:
        """What is to be done now; None when all is as it should be."""
        match record.status:
            case Status.CREATING:
                return self._create(site, record)
            case Status.UPDATING if record.pending_config is not None:
                return self._update(site, record, record.pending_config)
            case Status.UPDATING:
                return self._scale(site, record)
            case Status.ROLLING_BACK:
                return self._rolled_back(site, record.failure_reason)
            case Status.DELETING:
                return self._delete(site, record)
            case Status.IN_SERVICE | Status.FAILED:
                return None

    def give_up(self, site: DeploymentSite, reason: str) -> None:
        """Say of an operation that it failed: the endpoint is as it was before, or failed."""
        status = Status.FAILED if site.deployed is None else Status.IN_SERVICE
        site.live = None if site.deployed is None else site.deployed.live
        self._change(
            site.name,
            {Status.CREATING, Status.UPDATING, Status.ROLLING_BACK},
            status=status,
            failure_reason=shortened(reason),
            pending_config=None,
            pending=None,
        )

    # --- create ------------------------------------------------------------------------------

    async def _create(self, site: DeploymentSite, record: EndpointRecord) -> None:
        generation = record.generation + 1
        try:
            config, plans = self._plans(record, record.config_name)
            plans = await self._pinning.pinned(record.name, config.name, plans)
            pools = self._builder.pools(plans, generation)
            await self._builder.start(pools)
        except LaunchFailed as failed:
            self.give_up(site, failed.reason)
            return
        new = deployed(
            record.name,
            pools,
            generation=generation,
            capture=deploy_policy.capture_in_service(config.body, record),
            config=config.body,
        )
        if self._change(
            record.name,
            {Status.CREATING},
            status=Status.IN_SERVICE,
            failure_reason=None,
            generation=generation,
            variants=deploy_policy.states(plans),
        ):
            site.deployed, site.live = new, new.live
        else:
            await new.close(stop_servers=True)

    # --- resume ------------------------------------------------------------------------------

    def in_service(self, record: EndpointRecord) -> InService:
        """What an earlier life left in service. Raises ``LaunchFailed``."""
        config, plans = self._plans(record, record.config_name)
        return InService(config=config, plans=deploy_policy.in_service(plans, record))

    def resume(
        self,
        site: DeploymentSite,
        record: EndpointRecord,
        known: InService,
        adopted: Mapping[str, Sequence[Server]],
    ) -> None:
        """Take requests again, with what still runs; what is missing comes in the background."""
        pools = self._builder.pools(known.plans, record.generation)
        self._builder.adopt(pools, adopted)
        site.deployed = deployed(
            record.name,
            pools,
            generation=record.generation,
            capture=deploy_policy.capture_in_service(known.config.body, record),
            config=known.config.body,
        )
        site.live = site.deployed.live

    def not_resumed(self, record: EndpointRecord, reason: str) -> None:
        """Say that what was in service before a restart cannot be again."""
        self._change(
            record.name,
            {Status.IN_SERVICE, Status.ROLLING_BACK},
            status=Status.FAILED,
            failure_reason=shortened(
                f"The endpoint was in service when the emulator ended, and could not be "
                f"resumed: {reason}"
            ),
            pending_config=None,
            pending=None,
        )

    # --- update ------------------------------------------------------------------------------

    async def _update(self, site: DeploymentSite, record: EndpointRecord, config_name: str) -> None:
        try:
            config, plans = self._plans(record, config_name)
            plans = deploy_policy.retained(plans, record)
            policy = deploy_policy.policy(
                record.deployment, instances=sum(plan.initial_count for plan in plans)
            )
            await within(policy, self._clock, self._replace(site, record, config, plans, policy))
        except LaunchFailed as failed:
            await self._roll_back(site, failed.reason)

    async def _replace(
        self,
        site: DeploymentSite,
        record: EndpointRecord,
        config: Resource,
        plans: Sequence[VariantPlan],
        policy: deploy_policy.Policy,
    ) -> None:
        generation = record.generation + 1
        old = site.deployed
        capture, retain = deploy_policy.capture_retained(
            config.body, None if old is None else old.live.capture, record
        )
        plans = await self._pinning.pinned(record.name, config.name, plans)
        pools = self._builder.pools(plans, generation)
        await self._builder.start(pools)
        new = deployed(
            record.name, pools, generation=generation, capture=capture, config=config.body
        )
        committed = False
        try:
            await self._shift(site, old, new, policy)
            committed = self._change(
                record.name,
                {Status.UPDATING},
                status=Status.IN_SERVICE,
                failure_reason=None,
                config_name=config.name,
                pending_config=None,
                pending=None,
                generation=generation,
                variants=deploy_policy.states(plans),
                retain=retain,
            )
        finally:
            # Nothing is awaited between the record and the swap: no instant shows one of them.
            if committed:
                site.deployed, site.live = new, new.live
                self._retire(site, old, new)
            else:
                site.live = None if old is None else old.live
                await new.close(stop_servers=True)

    async def _shift(
        self,
        site: DeploymentSite,
        old: Deployed | None,
        new: Deployed,
        policy: deploy_policy.Policy,
    ) -> None:
        for share in policy.shares:
            whole = share >= 1 or old is None
            site.live = new.live if old is None or whole else blended(old, new, share, self._rng)
            if policy.wait_s:
                await self._clock.sleep(policy.wait_s)
        if policy.termination_wait_s:
            await self._clock.sleep(policy.termination_wait_s)

    def _retire(self, site: DeploymentSite, old: Deployed | None, new: Deployed) -> None:
        if old is None:
            return
        for name, pool in old.pools.items():
            site.retiring.add(pool)
            site.background.start(self._replaced(site, pool, new.successor(name)))

    async def _replaced(self, site: DeploymentSite, pool: ServerPool, successor: Pool) -> None:
        await _retired(site, pool, successor)
        await self._pinning.let_go()

    async def _roll_back(self, site: DeploymentSite, reason: str) -> None:
        self._change(
            site.name,
            {Status.UPDATING},
            status=Status.ROLLING_BACK,
            failure_reason=shortened(reason),
        )
        # What had been built is gone by now; AWS shows this state for as long as that takes.
        await self._rolled_back(site, reason)

    async def _rolled_back(self, site: DeploymentSite, reason: str | None) -> None:
        self.give_up(site, reason or "The update was rolled back.")
        await self._pinning.let_go()

    # --- weights and capacities --------------------------------------------------------------

    async def _scale(self, site: DeploymentSite, record: EndpointRecord) -> None:
        if site.deployed is None:
            self.give_up(site, "The endpoint has no fleet whose capacity could be changed.")
            return
        wanted = {**record.variants, **(record.pending or {})}
        live, pools = site.deployed.live, site.deployed.pools
        capacity = Capacity(pools)
        try:
            _set_weights(live, wanted)
            await capacity.change(wanted)
        except LaunchFailed as failed:
            _set_weights(live, record.variants)
            await capacity.restore()
            self.give_up(site, failed.reason)
            return
        except BaseException:
            _set_weights(live, record.variants)
            raise
        self._change(
            record.name,
            {Status.UPDATING},
            status=Status.IN_SERVICE,
            failure_reason=None,
            pending=None,
            variants=wanted,
        )

    # --- delete ------------------------------------------------------------------------------

    async def _delete(self, site: DeploymentSite, record: EndpointRecord) -> None:
        site.live = None
        old, site.deployed = site.deployed, None
        if old is not None:
            for pool in old.pools.values():
                site.retiring.add(pool)
                site.background.start(_retired(site, pool, None))
        await site.background.wait()
        self._store.delete_endpoint(record.name)
        await self._pinning.let_go()

    # --- the store ---------------------------------------------------------------------------

    def _change(self, name: str, expected: set[Status], **changes: Any) -> bool:
        """Whether the record was as expected, and so was changed."""
        done = False

        def changed(row: EndpointRecord) -> EndpointRecord | None:
            nonlocal done
            done = row.status in expected
            return replace(row, modified_at=self._clock.time(), **changes) if done else None

        self._store.change_endpoint(name, changed)
        return done


async def _retired(site: DeploymentSite, pool: ServerPool, successor: Any) -> None:
    await pool.retire(successor)
    site.retiring.discard(pool)


def _set_weights(live: LiveEndpoint, wanted: Mapping[str, VariantState]) -> None:
    for variant in live.all:
        if variant.name in wanted:
            variant.weight = wanted[variant.name].weight
