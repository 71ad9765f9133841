"""Endpoints of the recommender for the demo, beside those that there are."""

import os
import re
from contextlib import closing
from typing import Final

from lab.artifacts import store
from lab.endpoint.client import EmulatorClient
from lab.engine.select import open_engine
from lab.errors import LabError
from lab.images.variants import DEFAULT, serving
from lab.progress import Progress
from lab.stack import seed, session
from lab.stack.settings import StackSettings

MODEL: Final = "recommender-niser"
"""Whose inputs are sessions."""

_SEEDED: Final = re.compile(rf"-({'|'.join(serving())})-[0-9a-f]{{8}}$")
"""What ``seed`` calls its models ends so."""


def provide(client: EmulatorClient, progress: Progress) -> str:
    """Have the recommender's endpoints; a line that says so, or why no sessions are sent.

    What there is stays as it is. Raises ``EndpointError`` when no emulator answers.
    """
    names = [f"{MODEL}-{kind}" for kind in seed.KINDS]
    if any(client.find("describe_endpoint", EndpointName=name) for name in names):
        return f"Sessions go to the endpoints of {MODEL} that there are."
    variant = served_by(client)
    settings = StackSettings(
        variant=variant,
        models=(MODEL,),
        # Of the emulator that runs, whatever this shell says.
        env={
            **os.environ,
            "LAB_REGION": client.addresses.region,
            "LAB_ACCOUNT": client.addresses.account,
        },
    )
    try:
        store.check(MODEL, settings.runtime)
        with closing(open_engine(progress)) as engine:
            made = session.beside(settings, engine, client, progress)
    except LabError as error:
        return f"No sessions are sent: {error.what} {error.remedy}".strip()
    if silent := [one for one in made if not one.answers or one.reason]:
        return f"No sessions are sent: {silent[0].name} is {silent[0].status}: {silent[0].reason}"
    return f"{' and '.join(names)} serve sessions, by {variant} like the others."


def served_by(client: EmulatorClient) -> str:
    """The variant that most endpoints of ``lab up`` serve; ours by default where none tells."""
    found = []
    for row in client.endpoints():
        seen = client.find("describe_endpoint", EndpointName=row["EndpointName"]) or {}
        name = seen.get("EndpointConfigName", "")
        config = client.find("describe_endpoint_config", EndpointConfigName=name) or {}
        for one in config.get("ProductionVariants", ()):
            found += _SEEDED.findall(one["ModelName"])
    return max(sorted(set(found)), key=found.count, default=DEFAULT)
