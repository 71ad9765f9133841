"""Which variant takes a request, and how much of the traffic a shadow sees."""

import random
from collections.abc import Sequence

from lab.endpoint.live import LiveEndpoint, LiveVariant
from lab.endpoint.protocol.errors import validation_error


def choose(endpoint: LiveEndpoint, target: str | None, rng: random.Random) -> LiveVariant:
    """The variant named by ``TargetVariant``, else one by weight: weight / sum of weights.

    ``TargetVariant`` overrides the weights, a weight of 0 included. Raises ``ValidationError``.
    """
    variants = endpoint.variants
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
