"""Registries: the lab's own, and OCI's HTTP interface to any.

``local`` starts it, ``distribution`` speaks to it, ``push`` sends images through the engine and
``upload`` past it.
"""
