"""The VGG19 grader in int8."""

from models.common.built import BuildOrder, Built
from models.retinopathy import quantised
from models.retinopathy_vgg19.model import ARCHITECTURE


def build(order: BuildOrder) -> Built:
    """Leave what is served in ``order.out``."""
    return quantised.build(ARCHITECTURE, order)
