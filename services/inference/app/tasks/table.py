"""CSV for inputs and outputs of two dimensions: a line is a row."""

from app.errors import RequestError

from . import nested
from .fitting import asked, fitting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from app.card import TensorSpec
    from app.tasks import Tensor

_TABLE = 2
_TRUTH = {"0": False, "1": True, "false": False, "true": True}
_MOST_CELL = 40


def read(spec: "TensorSpec", body: bytes) -> "Tensor":
    """Lines of cells without a header; the line and the column of a fault are named, from 1."""
    lines = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").splitlines()
    if not lines:
        raise RequestError(400, "The body is empty.")
    read = _cell(spec.dtype)
    columns = spec.shape[1] or lines[0].count(",") + 1
    rows = []
    for number, line in enumerate(lines, 1):
        cells = line.split(",")
        if len(cells) != columns:
            raise RequestError(
                400, f"{asked(spec)}: {columns} columns; line {number} has {len(cells)}."
            )
        try:
            if "_" in line:  # which Python would skip
                raise ValueError(line)  # noqa: TRY301
            rows.append([read(cell) for cell in cells])
            nested.pack(list(rows[-1]), spec.dtype, (columns,))
        except ValueError:
            column = next(at for at, cell in enumerate(cells, 1) if not _reads(cell, spec.dtype))
            cell = cells[column - 1].strip()[:_MOST_CELL]
            raise RequestError(
                400, f"{asked(spec)}; line {number}, column {column} is {cell!r}."
            ) from None
    shape = (len(rows), columns)
    return fitting(spec, shape), nested.pack(
        [one for row in rows for one in row], spec.dtype, shape
    )


def write(numbers: "list[float]", shape: tuple[int, ...]) -> bytes:
    """A line for each row of a tensor of two dimensions or fewer."""
    rows, columns = (*shape, 1, 1)[:_TABLE]
    cells = [str(one).lower() if isinstance(one, bool) else repr(one) for one in numbers]
    return "".join(
        ",".join(cells[at * columns : (at + 1) * columns]) + "\n" for at in range(rows)
    ).encode()


def _cell(dtype: str) -> "Callable[[str], float]":
    if dtype == "bool":
        return _truth
    return float if dtype.startswith("float") else int


def _truth(cell: str) -> bool:
    found = _TRUTH.get(cell.strip().lower())
    if found is None:
        raise ValueError(cell)
    return found


def _reads(cell: str, dtype: str) -> bool:
    """Whether a cell is a number of this type."""
    try:
        nested.pack([_cell(dtype)(cell)], dtype, ())
    except ValueError:
        return False
    return "_" not in cell
