"""Starts whose image comes on demand: what is read stands beside what is shipped."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from rich.console import Console

from lab.coldstart.record import Chunks, Run, Sample, same_link
from lab.coldstart.summary import Finding, FindingKind, Row
from lab.report import chunks
from lab.report.compare.runs import differences
from lab.report.findings.boot import own
from lab.report.formats.markdown import to_markdown
from lab.report.formats.terminal import summary_table
from lab.report.join.collect import collect
from lab.report.join.write import write_join
from lab.report.page.html import render
from lab.report.page.scatter import sizes
from lab.report.page.waterfall import waterfalls
from lab.report.recorded import Recorded
from lab.report.rows import groups
from lab.report.study import published
from lab.report.summary import Results, results, to_csv
from lab.report.words import MET_BY, count_bytes
from lab.spec import FLOOR, Phase, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import CHUNK, Script
from tests.unit.report.test_rows import result

DEMAND, FRESH, PULL = StartKind.ONDEMAND, StartKind.FRESH, StartKind.PULL
ALL = Script(kinds=(FRESH, DEMAND, PULL), blocks=6)


def row(found: Results, variant: str, kind: StartKind = DEMAND) -> Row:
    return next(
        one for one in found.summary.rows if (one.variant, one.start_kind) == (variant, kind)
    )


def findings(script: Script) -> Mapping[FindingKind, Finding]:
    return {one.kind: one for one in result(script).summary.findings}


def reading(**counts: Mapping[Phase, int]) -> Callable[[Sample], Sample]:
    """Of a variant the chunks that it fetches, each waited for 10 ms."""

    def edit(sample: Sample) -> Sample:
        fetched = counts.get(sample.cell.variant.replace("-", "_"))
        if sample.chunks is None or fetched is None:
            return sample
        waited = {phase: count * 0.01 for phase, count in fetched.items()}
        told = sample.chunks.model_copy(update={"fetched": fetched, "waited_s": waited})
        return sample.model_copy(update={"chunks": told})

    return edit


def test_a_row_tells_what_its_median_start_read_and_waited_for() -> None:
    def more_each_block(sample: Sample) -> Sample:
        return reading(slim={Phase.IMPORTS: 100 * sample.block, Phase.START: 7})(sample)

    found = row(result(Script(kinds=(DEMAND,), blocks=5, edit=more_each_block)), "slim")
    assert found.chunks is not None
    assert found.chunks.fetched == {Phase.IMPORTS: 300, Phase.START: 7}
    assert found.image_read_bytes == 307 * CHUNK
    assert found.chunk_wait_s == pytest.approx(3.07)


def test_a_start_of_another_kind_reads_no_chunks() -> None:
    fresh = row(result(ALL), "slim", FRESH)
    assert (fresh.chunks, fresh.image_read_bytes, fresh.chunk_wait_s) == (None, None, None)


def test_a_small_image_is_never_read_by_more_than_all_of_it() -> None:
    tiny = Chunks(
        chunk_bytes=CHUNK,
        bandwidth_bits_per_s=1,
        latency_s=0.0,
        image_bytes=CHUNK + 1,
        fetched={Phase.BOOT: 2},
        waited_s={},
    )
    assert chunks.share_read(tiny) == 1.0
    assert chunks.longest_wait(tiny) == ""
    assert chunks.read(tiny) == "1.0 MB in 2 chunks of 512 KiB, 100 % of 524 kB"


def test_waiting_for_chunks_is_found_and_told_with_what_was_read() -> None:
    one = findings(ALL)[FindingKind.CHUNKS_DOMINATE]
    found = row(result(ALL), "slim")
    assert one.title.endswith("of an on-demand start: baseline, slim, onnx, onnx-slim")
    assert one.stake_s == row(result(ALL), "baseline").chunk_wait_s
    line = next(text for text in one.seen.splitlines() if text.startswith("slim: "))
    assert f"for {count_bytes(found.image_read_bytes)} in {found.chunks.count} chunks" in line  # type: ignore[union-attr]
    assert "over 1 Gbit/s and 0.5 ms a chunk; most in imports" in line
    assert "`lab images advise inference-lab/baseline:amd64 --payload FILE`" in one.remedy


def test_a_start_that_hardly_waits_has_no_such_finding() -> None:
    few = reading(slim={Phase.IMPORTS: 20})
    script = Script(variants=("slim", FLOOR), kinds=(DEMAND, PULL), blocks=6, edit=few)
    assert FindingKind.CHUNKS_DOMINATE not in findings(script)


def test_what_is_never_read_is_found_where_a_pull_was_measured_beside_it() -> None:
    one = findings(ALL)[FindingKind.UNREAD]
    assert one.title == (
        "Up to 74 % of an image is never read, and costs a pull only: baseline, slim, onnx"
    )
    assert one.seen.startswith("baseline: 74 % of 2.5 GB; getting it takes 23.")
    assert FindingKind.UNREAD not in findings(Script(kinds=(FRESH, DEMAND), blocks=6))


def test_an_image_that_is_read_whole_is_said_to_have_nothing_unread() -> None:
    script = Script(kinds=(DEMAND, PULL), variants=("onnx-slim", FLOOR), blocks=6)
    assert FindingKind.UNREAD not in findings(script)


def test_the_wait_for_chunks_is_not_taken_for_imports() -> None:
    """The same container's imports, once as an image that is there and once on demand."""
    found = result(ALL)
    there, demanded = row(found, "slim", FRESH), row(found, "slim")
    assert demanded.phases_s[Phase.IMPORTS] > 2 * there.phases_s[Phase.IMPORTS]
    spent = chunks.spent_s(demanded, Phase.IMPORTS)
    assert spent == pytest.approx(there.phases_s[Phase.IMPORTS], rel=0.3)
    assert own(demanded) == pytest.approx(own(there), rel=0.2)
    imports = findings(Script(kinds=(DEMAND,), blocks=6))[FindingKind.IMPORTS_DOMINATE]
    assert imports.stake_s == pytest.approx(
        chunks.spent_s(row(result(Script(kinds=(DEMAND,), blocks=6)), "baseline"), Phase.IMPORTS)
    )
    assert "the wait for chunks aside" in imports.seen


def test_what_an_image_costs_by_itself_is_told_of_starts_with_the_image_there() -> None:
    """The lab's own work of serving chunks is in a start on demand, and no fault of the image."""
    assert "on-demand" not in findings(ALL)[FindingKind.IMPORTS_DOMINATE].seen
    assert not any("ondemand" in cell for cell in findings(ALL)[FindingKind.IMPORTS_DOMINATE].cells)


def test_what_is_not_known_of_any_start_is_said_once() -> None:
    few = result(Script(kinds=(FRESH, DEMAND, PULL), blocks=2)).summary.headline.text
    assert few == (
        "Too few samples to tell baseline and onnx-slim apart from a fresh container, when its "
        "image comes on demand, when it must be pulled."
    )


def test_an_image_smaller_than_its_chunks_is_not_said_to_be_read_in_part() -> None:
    """The floor's file system: seven chunks, most of each empty."""
    script = Script(kinds=(DEMAND,), blocks=6, edit=reading(floor={Phase.BOOT: 20}))
    found = result(script)
    place = found.summary.rows.index(row(found, FLOOR))
    assert f'data-path="/rows/{place}/image_read_bytes"' in render(found)
    assert f'data-path="/rows/{place}/chunks/image_bytes"' not in render(found)
    (group,) = groups(found.native)
    (plot,) = sizes(group)
    assert {point.label: point.shipped for point in plot.points}[FLOOR] is None


def test_the_advisor_is_asked_about_a_users_image_with_the_users_payload() -> None:
    run, samples = synthetic.make(Script(variants=("me-srv",), kinds=(PULL,)))
    asked = {"image": "me-srv", "payload": "/data/my question.json"}
    run = run.model_copy(update={"plan": {**run.plan, "own": asked}})
    told = results(Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0))
    one = next(f for f in told.summary.findings if f.kind is FindingKind.PULL_DOMINATES)
    assert "advise inference-lab/me-srv:amd64 --payload '/data/my question.json'`" in one.remedy


def test_the_headline_and_the_tiles_tell_of_all_new_containers() -> None:
    found = result(ALL)
    text = found.summary.headline.text
    order = [text.index(said) for said in ("fresh container", "comes on demand", "be pulled")]
    assert order == sorted(order)
    labels = re.findall(r'<div class="label">([^<]*)</div>', render(found))
    assert {"onnx-slim, fresh", "onnx-slim, on-demand", "onnx-slim, pull"} <= set(labels)
    assert {"baseline / onnx-slim, on-demand", "baseline / onnx-slim, pull"} <= set(labels)


def test_the_target_and_the_studys_ratios_have_a_line_of_their_own() -> None:
    summary = result(ALL).summary
    goal = next(one for one in summary.targets if one.id == "ondemand")
    ratio = next(
        one
        for one in summary.comparisons
        if (one.numerator, one.denominator, one.start_kind) == ("baseline", "onnx-slim", DEMAND)
    )
    assert goal.value == ratio.ratio
    lines = {one.ours_is: one for one in published.beside(summary) if "image" in one.what}
    assert lines["baseline / slim, on-demand"].published == 1.2864
    assert lines["baseline / slim, on-demand"].ours is not None
    assert lines["baseline / onnx-slim, on-demand, same memory for both"].ours == ratio.ratio


def test_memory_on_demand_stands_beside_the_studys_memory() -> None:
    script = Script(variants=("baseline",), kinds=(DEMAND,), tiers=("1024", "2048"), blocks=6)
    lines = [one for one in published.beside(result(script).summary) if one.ours is not None]
    told = [(one.what, one.ours_is) for one in lines]
    assert told == [("cold start, 1024 MB over 2048 MB", "baseline, on-demand")]


def test_the_page_sets_bytes_read_beside_bytes_shipped() -> None:
    found = result(ALL)
    page = render(found)
    table = page[page.index("Bytes read beside bytes shipped") :]
    table = table[: table.index("</table>")]
    slim = row(found, "slim")
    place = found.summary.rows.index(slim)
    assert slim.chunks is not None
    for name, value in (
        ("image_compressed_bytes", slim.image_compressed_bytes),
        ("chunks/image_bytes", slim.chunks.image_bytes),
        ("image_read_bytes", slim.image_read_bytes),
        ("chunk_wait_s", slim.chunk_wait_s),
    ):
        assert f'data-path="/rows/{place}/{name}" value="{value!r}"' in table, name
    assert FLOOR not in table
    assert MET_BY in page
    assert "Bytes read beside" not in render(result(Script(kinds=(FRESH, PULL), blocks=2)))


def test_the_scatter_of_on_demand_starts_is_over_bytes_read_with_all_bytes_marked() -> None:
    (group,) = groups(result(ALL).native)
    plots = {plot.name: plot for plot in sizes(group)}
    points = {point.label: point for point in plots["on-demand"].points}
    slim = points["slim"]
    assert slim.shipped is not None
    assert slim.x / slim.shipped == pytest.approx(0.41, abs=0.005)
    assert slim.tip.startswith("slim: 495 MB read of 1.21 GB, ")
    assert all(point.shipped is None for point in plots["pull"].points)


def test_a_phase_tells_how_much_of_it_was_waiting() -> None:
    (group,) = groups(result(ALL).native)
    fall = next(one for one in waterfalls(group, container=True) if one.kind is DEMAND)
    slim = next(one for one in fall.bars if one.row.variant == "slim")
    parts = {one.phase: one for one in slim.segments}
    assert slim.segments[0].phase is Phase.IMAGE_MOUNT
    assert parts[Phase.IMPORTS].waited == pytest.approx(72, abs=3)
    assert parts[Phase.IMPORTS].tip.endswith("s of it for 921 chunks")
    assert parts[Phase.MODEL_LOAD].waited == 0
    assert "of it for" not in parts[Phase.MODEL_LOAD].tip
    assert 0 < parts[Phase.IMAGE_MOUNT].waited <= 100


def test_pages_say_what_the_line_at_a_bars_foot_is_where_there_is_one(tmp_path: Path) -> None:
    said = "waiting for chunks of the image"
    pulls = Script(id="20261121T000000Z-default", kinds=(PULL,), blocks=2)
    demanded = [
        Script(id=f"2026112{day}T000000Z-default", kinds=(DEMAND,), blocks=2) for day in (2, 3)
    ]
    assert said in render(result(demanded[0]))
    assert said not in render(result(pulls))
    folders = [str(synthetic.write(tmp_path / one.id, one)) for one in demanded]
    _, page = write_join(collect(folders), tmp_path / "join")
    assert said in page.read_text()


def test_markdown_and_terminal_have_the_table_too() -> None:
    text = to_markdown(result(ALL))
    assert "## Bytes read beside bytes shipped, on-demand starts" in text
    assert "| 431 MB | 1.2 GB | 495 MB | 41 % | 944 | 4.43 s | imports, 4.32 s |" in text


def test_the_terminals_table_of_bytes_fits(tmp_path: Path) -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(summary_table(synthetic.write(tmp_path / "run", ALL)))
    told = out.getvalue()
    told = told[told.index("Bytes read beside bytes shipped") :]
    assert "…" not in told[: told.index("\n\n")]
    assert "495 MB" in told


def test_the_csv_has_bytes_chunks_and_seconds() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(result(ALL).summary))))
    told = {(one["variant"], one["start_kind"]): one for one in lines}
    demanded, pulled = told["slim", "ondemand"], told["slim", "pull"]
    assert (demanded["image_read_bytes"], demanded["chunks"]) == (str(944 * CHUNK), "944")
    assert float(demanded["chunk_wait_s"]) == pytest.approx(4.43, abs=0.01)
    assert (pulled["image_read_bytes"], pulled["chunks"], pulled["chunk_wait_s"]) == ("", "", "")


def changed(run: Run, *, latency: float | None = None, bandwidth: int | None = None) -> Run:
    plan = run.plan if latency is None else {**run.plan, "chunk_latency": latency}
    link = run.bandwidth_bits_per_s if bandwidth is None else bandwidth
    return run.model_copy(update={"plan": plan, "bandwidth_bits_per_s": link})


def test_another_latency_makes_another_start_on_demand_and_no_other_pull() -> None:
    run, _ = synthetic.make(ALL)
    later, wider = changed(run, latency=0.002), changed(run, bandwidth=5)
    assert same_link(run, run, DEMAND)
    assert not same_link(run, later, DEMAND)
    assert same_link(run, later, PULL)
    assert not same_link(run, wider, DEMAND)
    assert not same_link(run, wider, PULL)
    assert same_link(run, wider, FRESH)


def test_runs_compared_tell_a_latency_that_differs_where_it_matters() -> None:
    run, _ = synthetic.make(ALL)
    (told,) = differences(run, changed(run, latency=0.002))
    assert (told.what, told.first, told.second) == ("chunk latency", "0.5 ms", "2.0 ms")
    pulls, _ = synthetic.make(Script(kinds=(PULL,)))
    assert list(differences(pulls, changed(pulls, latency=0.002))) == []
