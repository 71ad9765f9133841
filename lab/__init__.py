"""Inference Lab: cold starts of SageMaker containers, measured on your own machine."""

__version__ = "0.1.0"
