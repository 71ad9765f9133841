"""What files of a run hold: read strictly, never changed."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A record of a file. A field that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
