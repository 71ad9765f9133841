"""Whether what came is what an input of the model takes, and the words for what it takes."""

from app.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.card import TensorSpec

_EXACT = {"float16": 11, "float32": 24, "float64": 53}
"""Bits of the whole numbers that a float holds without a loss."""


def fitting(spec: "TensorSpec", shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the model gets; raises ``RequestError`` 400.

    One instance without the batch's dimension is a batch of one; a column may lack a last one of 1.
    """
    tries = [shape, (*shape, 1)] if spec.shape[-1:] == (1,) else [shape]
    if spec.batched or spec.shape[:1] == (1,):
        tries.insert(1, (1, *shape))
    for one in tries:
        if spec.fits(one):
            return one
    raise RequestError(400, f"{asked(spec)}; {_words(shape)} came.")


def holds(dtype: str, given: str) -> bool:
    """Whether every number of type ``given`` is one of ``dtype``."""
    if dtype == given:
        return True
    if "bool" in (dtype, given):
        return False
    if given.startswith("float"):
        return _EXACT.get(dtype, 0) > _EXACT[given]
    bits = int(given.lstrip("uint")) - given.startswith("int")
    room = _EXACT.get(dtype) or int(dtype.lstrip("uint")) - dtype.startswith("int")
    return bits <= room and (given.startswith("uint") or not dtype.startswith("uint"))


def asked(spec: "TensorSpec") -> str:
    """What an input takes: the beginning of a refusal."""
    return f"The input {spec.name} is {spec.dtype} of {_described(spec)}"


def all_of(specs: "Sequence[TensorSpec]") -> str:
    """What all inputs take: the end of a refusal."""
    each = ", ".join(f"{one.name} ({one.dtype} of {_described(one)})" for one in specs)
    return f"the inputs are {each}"


def _described(spec: "TensorSpec") -> str:
    """A shape as people write it: ``[n, 3, any]``."""
    sizes = ["any" if size is None else str(size) for size in spec.shape]
    if spec.batched:
        sizes[0] = "n"
    return f"[{', '.join(sizes)}]"


def _words(shape: tuple[int, ...]) -> str:
    return f"an array of {list(shape)}" if shape else "a single value"
