"""Which package indexes, registries and ports can be reached."""

import shutil
import ssl
from collections.abc import Sequence
from typing import Final

import httpx

from lab.engine.doctor.findings import CheckResult, DoctorCheck, degraded, ok
from lab.engine.install import apt, packages
from lab.errors import CommandError
from lab.host import os_release, pip
from lab.process import run
from lab.sockets import free_port
from lab.spec import PORT

_REGISTRY: Final = "https://registry-1.docker.io/v2/"
_SHORT_S: Final = 3.0
_PIP_S: Final = 7.0
_KNOWN: Final = (200, 401)


def checks() -> Sequence[DoctorCheck]:
    """The checks of this module."""
    return [
        DoctorCheck(name="Python packages", look=python_index),
        DoctorCheck(name="Debian packages", look=debian_archive),
        DoctorCheck(name="registry", look=registry),
        DoctorCheck(name="ports", look=ports),
    ]


def python_index() -> CheckResult:
    """The package index, asked by pip itself so that its settings count."""
    words = ["index", "versions", "pip", "--disable-pip-version-check"]
    limits = [f"--timeout={_SHORT_S:g}", "--retries=0"]
    try:
        run([*pip(), *words, *limits], timeout_s=_PIP_S)
    except CommandError as error:
        last = error.what.splitlines()[-1]
        return degraded(
            f"pip finds no package: {last}",
            "Set pip's index (`pip config set global.index-url URL`) or PIP_* and proxies.",
        )
    return ok("answers pip")


def debian_archive() -> CheckResult:
    """The distribution's archive: base images are made from it where no registry answers."""
    recipe = packages.recipe_for(os_release())
    if recipe is None or shutil.which("apt-get") is None:
        return degraded("not a Debian or Ubuntu system", "Base images then need a registry.")
    source = apt.official(recipe.codename, recipe.family)[0]
    if not source.uri.startswith("http"):
        return ok(f"{source.uri} (as apt is set)")
    return _answers(
        f"{source.uri.rstrip('/')}/dists/{recipe.codename}/InRelease",
        "Base images then need a registry.",
    )


def registry() -> CheckResult:
    """Docker Hub, within a short time: base images come from it where it answers."""
    return _answers(_REGISTRY, "Base images are then built from Debian's packages.")


def ports() -> CheckResult:
    """Whether servers can listen here, and whether SageMaker's port is free."""
    free_port()
    try:
        free_port(PORT)
    except OSError as error:
        return degraded(
            f"{PORT} is taken ({error.strerror})", "The lab itself uses free ports only."
        )
    return ok(f"can listen, {PORT} is free")


def _answers(url: str, without: str) -> CheckResult:
    # The system's authorities, as the engine and apt use them: a private one may be among them.
    trust = ssl.create_default_context()
    try:
        status = httpx.head(url, timeout=_SHORT_S, verify=trust, follow_redirects=True).status_code
    except (httpx.HTTPError, OSError) as error:
        return degraded(f"{url} does not answer: {error}", without)
    if status not in _KNOWN:
        return degraded(f"{url} answers with {status}", without)
    return ok(f"{url} answers")
