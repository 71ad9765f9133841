"""Candidates, one after the other, until one is proven."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from lab.advice.contents import Contents
from lab.advice.recording import Recording
from lab.advice.slim.bisect import Budget, TriesUsedUp
from lab.advice.slim.mend import Tracer
from lab.advice.slim.prove import Proof, Trouble
from lab.advice.slim.record import Restored
from lab.advice.slim.select import Selection, Selector
from lab.advice.slim.write import Workshop
from lab.errors import LabError
from lab.progress import Progress

ROUNDS: Final = 8
"""Candidates that are made until it is given up."""
TRIES: Final = 120
"""Starts to trace what candidates lack, in all."""


class SlimError(LabError):
    """No smaller image could be proven to do what the original does."""

    exit_code = 15


class Search:
    """Makes a candidate, tries it, keeps what it lacked, and makes the next."""

    def __init__(
        self,
        *,
        shop: Workshop,
        selector: Selector,
        proof: Proof,
        recording: Recording,
        again: Callable[[str, Contents], Recording],
        progress: Progress,
    ) -> None:
        self._shop = shop
        self._selector = selector
        self._proof = proof
        self._recording = recording
        self._again = again
        self._progress = progress
        self._unrelated: set[str] = set()
        self.budget = Budget(TRIES)
        self.restored: list[Restored] = []
        self.rounds = 0

    def run(self) -> tuple[str, Selection]:
        """The proven one, by its id, and what stayed. Raises ``SlimError``."""
        for self.rounds in range(1, ROUNDS + 1):
            also = {path for one in self.restored for path in one.paths}
            selection = self._selector.select(also)
            if not selection.removed_bytes and not selection.strippable:
                raise _nothing()
            image = self._shop.make(selection, self._progress)
            selection = replace(selection, stripped=self._shop.stripped)
            if not selection.removed_bytes:
                raise _nothing()
            found = self._wanting(image, selection)
            if not found:
                return image, selection
            self.restored += found
            for one in found:
                some = ", ".join(one.paths[:3]) + (" ..." if len(one.paths) > 3 else "")
                self._progress.note(f"{one.because}: kept after all: {some}")
        raise SlimError(
            f"After {ROUNDS} candidates there is still something that the smaller image does worse:"
            f" {self.restored[-1].because}.",
            remedy="Keep more with --keep GLOB, or give a --payload that reaches it.",
        )

    def _wanting(self, image: str, selection: Selection) -> Sequence[Restored]:
        """What a candidate needs beside, nothing of one that is proven: the quickest look first."""
        return (
            self._traced(self._proof.answers(image), image, selection)
            or self._missed(image, selection)
            or self._traced(self._proof.contract(image), image, selection)
        )

    def _missed(self, image: str, selection: Selection) -> Sequence[Restored]:
        """Look-ups that fail in the candidate, and had found something in the original."""
        entries = {
            path: one for path, one in selection.contents.entries.items() if path in selection.kept
        }
        recording = self._again(image, replace(selection.contents, image=image, entries=entries))
        new = set(recording.missed) - set(self._recording.missed)
        lost = {
            path: sorted(set(self._selector.missing_for(path)) - selection.kept)
            for path in sorted(new)
        }
        return [
            Restored(because=f"{path} was looked for in vain", paths=its, traced=True)
            for path, its in lost.items()
            if its
        ]

    def _traced(
        self, troubles: Sequence[Trouble], image: str, selection: Selection
    ) -> Sequence[Restored]:
        tracer = Tracer(
            image=image,
            selection=selection,
            with_files=self._shop.with_files,
            budget=self.budget,
        )
        found: list[Restored] = []
        for trouble in troubles:
            if trouble.what in self._unrelated or self._cured(trouble, image, found):
                continue
            with self._progress.step(f"Trace what {trouble.what} lacks") as step:
                try:
                    cure = tracer.trace(trouble, step)
                except TriesUsedUp:
                    raise SlimError(
                        f"What {trouble.what} lacks in the smaller image was not found in "
                        f"{TRIES} tries: {trouble.words}.",
                        remedy="Keep more with --keep GLOB, or give a --payload that reaches it.",
                    ) from None
            if cure is None:
                self._unrelated.add(trouble.what)
                self._proof.unsure.append(
                    f"{trouble.what}: {trouble.words}, also with every file put back"
                )
            else:
                because = f"{trouble.what}: {trouble.words}"
                found.append(Restored(because=because, paths=cure.paths, traced=cure.traced))
        return found

    def _cured(self, trouble: Trouble, image: str, found: Sequence[Restored]) -> bool:
        """Whether what was found for others is enough for it."""
        paths = {path for one in found for path in one.paths}
        if not paths:
            return False
        with self._shop.with_files(image, paths) as tried:
            return not trouble.persists(tried)


def _nothing() -> SlimError:
    return SlimError(
        "Nothing can be left out: all that is in the image was touched, or was found to be needed.",
        remedy="Try --level files, if that was not the level.",
    )
