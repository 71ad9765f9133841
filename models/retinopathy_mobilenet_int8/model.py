"""The MobileNet grader in int8."""

from models.common.built import BuildOrder, Built
from models.retinopathy import quantised
from models.retinopathy_mobilenet.model import ARCHITECTURE


def build(order: BuildOrder) -> Built:
    """Leave what is served in ``order.out``."""
    return quantised.build(ARCHITECTURE, order)
