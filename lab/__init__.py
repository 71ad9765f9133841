"""Inference Lab: cold starts of SageMaker containers, measured on your own machine."""

__version__ = "0.2.0"
