"""The prediction as a part of a run's report."""

from collections.abc import Sequence

from lab.errors import UsageError
from lab.report.document import Document
from lab.report.predict import out
from lab.report.predict.predict import predict
from lab.report.summary import Results
from lab.spec import StartKind


def of(results: Results) -> Document | None:
    """What AWS will show for the run, or why that is not known; None without on-demand starts."""
    rows = (one.row for one in results.native if one.row.n)
    if not any(row.start_kind is StartKind.ONDEMAND for row in rows):
        return None
    try:
        return out.document(predict(results))
    except UsageError as error:
        return Document(title=out.TITLE, answer=error.what, tables=[], notes=_remedy(error))


def _remedy(error: UsageError) -> Sequence[str]:
    return [error.remedy] if error.remedy else []
