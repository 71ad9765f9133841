"""Which variant takes a request, which instance a prefix, and what a shadow sees."""

import hashlib
import random
from collections.abc import Sequence

from lab.endpoint.live import LiveEndpoint, LiveVariant, Pool, Server
from lab.endpoint.protocol.errors import validation_error
from lab.endpoint.runtime.sessions import Session, refused


def choose(
    endpoint: LiveEndpoint,
    target: str | None,
    rng: random.Random,
    session: Session | None = None,
) -> LiveVariant:
    """The variant named by ``TargetVariant``, else one by weight: weight / sum of weights.

    ``TargetVariant`` overrides the weights, a weight of 0 included, and so does a session, which
    stays at the variant where it was opened. Raises ``ValidationError``.
    """
    variants = endpoint.variants
    if session is not None:
        for variant in variants:
            if variant.name == session.variant:
                return variant
        why = f"ended with its variant {session.variant}, which the endpoint has no longer"
        raise refused(endpoint.name, session.id, why)
    if target is not None:
        for variant in variants:
            if variant.name == target:
                return variant
        raise validation_error(
            f"Variant {target} of endpoint {endpoint.name} not found. "
            f"Its variants are {', '.join(variant.name for variant in variants)}."
        )
    if len(variants) == 1:
        return variants[0]
    return _by_weight(variants, rng)


def by_prefix(pool: Pool, body: bytes, tenant: str) -> str | None:
    """``PREFIX_AWARE``: the instance of all requests that begin so; None where any will do.

    ``tenant`` is the ``PrefixAwareId``. A new instance takes over its share of the prefixes, and
    the others stay where they are.
    """
    length = pool.plan.prefix_bytes
    servers = [server for server in pool.servers if length and not server.suspect]
    if len(servers) <= 1 or len({server.generation for server in servers}) > 1:
        return None
    prefix = hashlib.sha256(tenant.encode() + b"\0" + body[:length]).digest()

    def affinity(server: Server) -> bytes:
        return hashlib.sha256(server.id.encode() + prefix).digest()

    chosen = max(servers, key=affinity)
    return chosen.id if chosen.in_flight < pool.plan.prefix_at_once else None


def shadows(
    endpoint: LiveEndpoint, served: LiveVariant, rng: random.Random
) -> Sequence[LiveVariant]:
    """The shadow variants that get a copy of a request that ``served`` answers.

    A shadow's weight is relative to the variant's: equal weights copy every request.
    """
    if not endpoint.shadows:
        return ()
    return [
        shadow
        for shadow in endpoint.shadows
        if served.weight <= shadow.weight or rng.random() * served.weight < shadow.weight
    ]


def _by_weight(variants: Sequence[LiveVariant], rng: random.Random) -> LiveVariant:
    total = sum(variant.weight for variant in variants)
    if total <= 0:
        # All weights 0: AWS says nothing; an even share is what "equal weights" means elsewhere.
        return rng.choice(list(variants))
    point = rng.random() * total
    for variant in variants:
        point -= variant.weight
        if point < 0:
            return variant
    # Rounding may leave a hair at the end, which belongs to the last with a weight at all.
    return next(variant for variant in reversed(variants) if variant.weight > 0)
