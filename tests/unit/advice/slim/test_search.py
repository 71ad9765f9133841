"""Candidates until one is proven, with containers that are played."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from lab.advice.contents import Contents
from lab.advice.recording import Recording
from lab.advice.slim.prove import Proof, Trouble
from lab.advice.slim.search import ROUNDS, Search, SlimError
from lab.advice.slim.select import Level, Selection, Selector
from lab.progress import Silent
from tests.unit.advice.slim.images import contents, file, recording

if TYPE_CHECKING:
    from lab.advice.slim.write import Workshop

IMAGE = contents(
    file("/app/serve", 10, ("", "/app")),
    file("/app/unused", 90, ("", "/app")),
    file("/lib/error", 5, ("Debian", "liberror")),
    file("/lib/late", 6, ("Debian", "liblate")),
    file("/lib/never", 700, ("Debian", "libnever")),
)


class Played:
    """A workshop and a proof in one: an image is the set of files it has."""

    def __init__(
        self, *, answers: str = "", rule: str = "", flaky: bool = False, symbols: str = ""
    ) -> None:
        self.images: list[set[str]] = []
        self.symbols = symbols
        self.stripped: dict[str, int] = {}
        self.needed_to_answer, self.needed_for_rule, self.flaky = answers, rule, flaky
        self.unsure: list[str] = []
        self.tried: set[str] = set()

    def make(self, selection: Selection, progress: Silent) -> str:
        del progress
        self.stripped = {path: 4 for path in selection.strippable if path == self.symbols}
        self.images.append(set(selection.kept - self.stripped.keys()))
        return str(len(self.images) - 1)

    @contextmanager
    def with_files(self, image: str, paths: Collection[str]) -> Iterator[str]:
        self.tried = self.images[int(image)] | set(paths)
        yield "tried"

    def answers(self, image: str) -> Sequence[Trouble]:
        if self.flaky:
            return [self._trouble("a flaky answer", "/of/nothing")]
        return self._lacks(image, "half a body", self.needed_to_answer)

    def contract(self, image: str) -> Sequence[Trouble]:
        return self._lacks(image, "the rule sigterm", self.needed_for_rule)

    def _lacks(self, image: str, what: str, path: str) -> Sequence[Trouble]:
        lacks = path and path not in self.images[int(image)]
        return [self._trouble(what, path)] if lacks else []

    def _trouble(self, what: str, path: str) -> Trouble:
        return Trouble(what=what, words="worse", log="", persists=lambda _: path not in self.tried)


def search(
    played: Played,
    again: Callable[[str, Contents], Recording] = lambda _, __: recording(()),
    touched: Sequence[str] = ("/app/serve",),
    image: Contents = IMAGE,
) -> Search:
    first = recording(touched, missed=["/etc/none"])
    selector = Selector(image, [first], level=Level.FILES, head=lambda _: b"")
    return Search(
        shop=cast("Workshop", played),
        selector=selector,
        proof=cast("Proof", played),
        recording=first,
        again=again,
        progress=Silent(),
    )


def run(one: Search) -> set[str]:
    _, selection = one.run()
    return {path for path in selection.kept if IMAGE.entries[path].size}


def test_the_first_candidate_is_taken_when_nothing_is_worse() -> None:
    one = search(Played())
    assert run(one) == {"/app/serve"}
    assert (one.rounds, one.budget.used, one.restored) == (1, 0, [])


def test_what_an_answer_and_then_a_rule_lack_comes_back_each_in_a_round() -> None:
    one = search(Played(answers="/lib/error", rule="/lib/late"))
    assert run(one) == {"/app/serve", "/lib/error", "/lib/late"}
    assert one.rounds == 3
    assert [(found.because, list(found.paths)) for found in one.restored] == [
        ("half a body: worse", ["/lib/error"]),
        ("the rule sigterm: worse", ["/lib/late"]),
    ]


def test_a_look_up_that_found_something_before_and_fails_now_is_the_file_itself() -> None:
    def again(_: str, its: Contents) -> Recording:
        lost = [path for path in ("/lib/late", "/etc/other") if path not in its.entries]
        return recording((), missed=["/etc/none", *lost])

    one = search(Played(), again)
    assert run(one) == {"/app/serve", "/lib/late"}
    (found,) = one.restored
    assert (found.because, list(found.paths)) == (
        "/lib/late was looked for in vain",
        ["/lib/late"],
    )
    assert one.budget.used == 0


def test_what_is_worse_with_every_file_is_told_and_not_held_against_the_image() -> None:
    played = Played(flaky=True)
    one = search(played)
    assert run(one) == {"/app/serve"}
    assert played.unsure == ["a flaky answer: worse, also with every file put back"]


def test_a_program_that_needs_its_symbols_is_whole_again_in_the_next_candidate() -> None:
    one = search(Played(answers="/app/serve", symbols="/app/serve"))
    assert run(one) == {"/app/serve"}
    assert one.rounds == 2
    (found,) = one.restored
    assert found.paths == ["/app/serve"]


def test_an_image_that_can_only_lose_symbols_is_worth_making() -> None:
    files = [path for path, entry in IMAGE.entries.items() if entry.size]
    _, selection = search(Played(symbols="/app/serve"), touched=files).run()
    assert selection.stripped == {"/app/serve": 4}
    assert (selection.removed_bytes, selection.kept_bytes) == (4, 811 - 4)
    assert selection.kept_compressed == sum(one.compressed for one in IMAGE.entries.values()) - 2


def test_an_image_of_which_everything_was_touched_is_refused() -> None:
    files = [path for path, entry in IMAGE.entries.items() if entry.size]
    with pytest.raises(SlimError, match="Nothing can be left out"):
        search(Played(), touched=files).run()


def test_it_is_given_up_after_a_bounded_number_of_candidates() -> None:
    played: Any = Played()
    number = iter(range(1000))

    def always(image: str) -> Sequence[Trouble]:
        del image
        return [
            Trouble(what=f"request {next(number)}", words="worse", log="", persists=lambda _: False)
        ]

    played.answers = always
    image = contents(file("/app/serve"), *(file(f"/app/{number}") for number in range(20)))
    with pytest.raises(SlimError, match=f"After {ROUNDS} candidates"):
        search(played, image=image).run()
