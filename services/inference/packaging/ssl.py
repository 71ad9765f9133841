"""Stands in for Python's ``ssl`` in `onnx-slim`, which speaks no TLS and so carries no OpenSSL.

OpenSSL would make the image an eighth larger. prometheus-client imports this module for a server
of its own, which the service never starts; nothing else in the image asks for it.
"""


class _Absent(Exception):  # noqa: N818  # plays exceptions, constants and classes alike
    """What every name of the real module is here."""

    def __init__(self, *_arguments: object, **_more: object) -> None:
        raise NotImplementedError("this image speaks no TLS")


def __getattr__(name: str) -> type[_Absent]:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Absent
