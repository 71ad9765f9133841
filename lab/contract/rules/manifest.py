"""The rule about the manifest: as what a registry holds the image, or would after a push."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.running.session import Session, Tries
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.local import place_of
from lab.engine.registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from lab.engine.registry.push import keeps_manifests
from lab.errors import EngineError
from lab.spec import LABEL_ROLE

_REGISTRY_PORT: Final = 5000
_ATTESTATION: Final = "unknown"
_WORDS: Final = {
    DOCKER_MANIFEST: "a Docker schema 2 manifest",
    DOCKER_LIST: "a Docker manifest list",
    OCI_MANIFEST: "an OCI manifest",
    OCI_INDEX: "an OCI index",
}
_IN_PARTS: Final = (DOCKER_LIST, OCI_INDEX)


@dataclass(frozen=True, kw_only=True)
class Held:
    """An image as somebody holds it."""

    where: str
    media_type: str
    architectures: Sequence[str] = ()

    @property
    def words(self) -> str:
        """``an OCI index of amd64 with attestations (application/...)``."""
        kind = _WORDS.get(self.media_type)
        if kind is None:
            return self.media_type or "a manifest of no stated type"
        of = sorted({one for one in self.architectures if one and one != _ATTESTATION})
        if self.media_type in _IN_PARTS and of:
            kind += f" of {', '.join(of)}"
        if _ATTESTATION in self.architectures:
            kind += " with attestations"
        return f"{kind} ({self.media_type})"


def judge_manifest(held: Held | None, *, origin: str | None, containerd: bool) -> Judged:
    """``held``: what is known of it; ``origin``: where it was pulled from or pushed to, if it was;
    ``containerd``: whether the engine keeps and pushes manifests as they were made.
    """
    if held is not None:
        plain = held.media_type == DOCKER_MANIFEST
        return Verdict.PASS if plain else Verdict.FAIL, f"{held.where} holds {held.words}"
    if origin is not None:
        return Verdict.WARN, (
            f"{origin} does not say what it holds: ask `docker buildx imagetools inspect --raw`"
        )
    if containerd:
        return Verdict.WARN, "not pushed yet, and this engine pushes what was built, OCI or not"
    return Verdict.PASS, (
        "not pushed yet; `docker push` from this engine makes a Docker schema 2 manifest "
        "(`docker buildx build --push` may not)"
    )


def _manifest(session: Session) -> Tried:
    engine = session.where.engine
    record = session.inspected()
    named = _places(record, session.subject.image)
    asked = (_asked(engine, place) for place in named)
    held = next((one for one in asked if one is not None), None)
    held = held or _in_local_registry(engine, session.subject.image, record) or _stored(record)
    verdict, seen = judge_manifest(
        held,
        origin=named[0].partition("@")[0] if named else None,
        containerd=keeps_manifests(engine),
    )
    return verdict, seen, held and {"media_type": held.media_type, "where": held.where}


def _places(record: Mapping[str, Any], ref: str) -> Sequence[str]:
    """``repository@digest`` where the image is known to be; that of the name asked for first."""
    found = [str(one) for one in record.get("RepoDigests") or ()]
    return sorted(found, key=lambda one: not ref.startswith(one.partition("@")[0]))


def _asked(engine: DockerEngine, place: str) -> Held | None:
    """What a registry says of an image, asked by the engine with the user's own log-in."""
    try:
        with translated():
            said: Mapping[str, Any] = engine.client.inspect_distribution(place)
    except EngineError:
        return None
    return Held(
        where=place.partition("@")[0],
        media_type=str((said.get("Descriptor") or {}).get("mediaType") or ""),
        architectures=[str(one.get("architecture", "")) for one in said.get("Platforms") or ()],
    )


def _in_local_registry(engine: DockerEngine, ref: str, record: Mapping[str, Any]) -> Held | None:
    """The same image in the lab's own registry, if that runs and holds it."""
    for container in engine.containers({LABEL_ROLE: "registry"}):
        with suppress(EngineError):
            with translated():
                ports = engine.client.port(container.id, _REGISTRY_PORT)
            if not ports:
                continue
            repository, tag = place_of(ref)
            http = Distribution(f"127.0.0.1:{ports[0]['HostPort']}")
            try:
                there = http.manifest(repository, tag)
            finally:
                http.close()
            if there is not None and there.is_of(record["Id"]):
                return Held(where="the local registry", media_type=there.media_type)
    return None


def _stored(record: Mapping[str, Any]) -> Held | None:
    """What an engine that keeps manifests would push; it says so from API 1.48 on."""
    descriptor = record.get("Descriptor") or {}
    if not descriptor.get("mediaType"):
        return None
    return Held(where="the engine, which pushes it as it is,", media_type=descriptor["mediaType"])


TRIES: Tries = {"manifest": _manifest}
