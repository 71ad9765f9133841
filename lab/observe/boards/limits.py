"""From which value on a figure is worth a colour; where an alert has it too, it is the same."""

from typing import Final

ERROR_RATIO: Final = (0.01, 0.05)
"""A hundredth of the requests: the error budget of an objective of 99 %. Five: it burns."""

MODEL_P99_S: Final = (0.5, 1.0)
"""What a person still takes for immediate, and the second from which they notice waiting."""

COLD_SHARE: Final = (0.05, 0.2)
"""At 5 % the p95 is a cold start; at 20 % the typical bad minute is."""

OF_LIMIT: Final = (0.8, 1.0)
"""Of MaxConcurrency: at 1 the next request is throttled."""

OF_MEMORY: Final = (0.8, 0.9)
"""Of the tier's memory: above it the kernel kills."""

PSI: Final = (0.1, 0.25)
"""Below 0.1 no shift, above 0.25 a serious one: see services/prometheus/rules/drift.yml."""

OF_FLOOR: Final = (3.0, 10.0)
"""Times the floor: near 1 only the engine itself is left to gain from."""

SCRAPE_S: Final = (0.05, 0.25)
"""At a scrape each 5 s, 0.05 s are 1 % of a core."""
