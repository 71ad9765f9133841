"""The report as a whole: its first sentence, its table by seconds, and what is said first."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from lab.advice.advice_report import AdviceReport
from lab.advice.advise_out import headline, table, to_markdown, to_terminal
from lab.advice.recording import Stage
from lab.advice.weigh import Observed, weigh
from lab.cli import images_advise, main
from lab.coldstart.record import Chunks, Sample
from lab.spec import Phase, StartKind
from tests.unit.advice.rules.made import MB, SITE, Made, python

GBIT = 1_000_000_000


def report(made: Made, samples: Mapping[StartKind, Sample] | None = None) -> AdviceReport:
    inputs = made.inputs()
    observed = Observed(
        contents=inputs.contents,
        recording=inputs.recording,
        payloads=["request.json"],
        bandwidth=GBIT,
        chunk_latency_s=0.0005,
        imports=made.imports,
        samples=samples or {},
    )
    return weigh(observed, "20260101T000000Z-advise")


def jupyter() -> Made:
    made = Made(commands=("RUN pip install flask jupyterlab",))
    made.file(f"{SITE}/flask/x.so", 4 * MB, package=python("flask 3"), read=Stage.READY)
    return made.file(f"{SITE}/jupyterlab/x.js", 60 * MB, package=python("jupyterlab 4"))


def shown(found: AdviceReport, width: int = 80) -> str:
    written = io.StringIO()
    Console(width=width, file=written).print(to_terminal(found))
    return written.getvalue()


def test_the_first_sentence_says_what_to_do_first_and_what_it_saves() -> None:
    found = report(jupyter())
    # 15 MB compressed over a link of 1 Gbit/s.
    assert headline(found) == (
        "First: do not install jupyterlab, which saves about 120 ms of a pulled start."
    )
    assert shown(found).startswith("First: do not install jupyterlab")


def test_seconds_follow_from_the_link_where_nothing_was_measured() -> None:
    found = report(jupyter())
    pull = next(one for one in found.starts if one.kind is StartKind.PULL)
    assert not pull.measured
    assert "link alone" in pull.note


def test_seconds_are_those_of_the_starts_that_were_timed_and_are_said_to_be() -> None:
    waits = {Phase.IMAGE_MOUNT: 0.5, Phase.BOOT: 1.5}
    sample, chunks = cast("Any", Sample).model_construct, cast("Any", Chunks).model_construct
    pulled = {Phase.IMAGE_PULL: 4.0, Phase.IMAGE_UNPACK: 2.0}
    samples = {
        StartKind.PULL: sample(phases_s=pulled, total_s=9.0, boot=None),
        StartKind.ONDEMAND: sample(
            phases_s={Phase.IMAGE_MOUNT: 0.7}, total_s=5.0, chunks=chunks(waited_s=waits), boot=None
        ),
    }
    found = report(jupyter(), samples)
    pull, demand = found.starts
    assert (pull.measured, pull.total_s, pull.image_s) == (True, 9.0, 6.0)
    assert (demand.measured, demand.total_s) == (True, 5.0)
    assert demand.image_s == pytest.approx(0.7 + 1.5)
    assert sum(one.pull_s or 0.0 for one in found.rows) == pytest.approx(6.0)
    # The recorded start waited 1 s, 0.16 s of it for flask; the timed one 2 s.
    flask = next(one for one in found.rows if one.name.startswith("flask"))
    assert flask.ondemand_s == pytest.approx(2 * 0.16)
    assert shown(found).count("measured once") == 2


def test_rows_come_by_seconds_and_name_the_advice_about_them() -> None:
    found = report(jupyter())
    by_name = {one.name: one for one in found.rows}
    assert by_name["jupyterlab 4"].advice == (1,)
    assert by_name["flask 3"].advice == ()
    assert [one.seconds for one in found.rows] == sorted(
        (one.seconds for one in found.rows), reverse=True
    )
    cells = {row[0]: row for row in table(found).rows}
    assert cells["Python: jupyterlab 4"][-1] == "#1"
    assert cells["Python: flask 3"][-1] == "keep"
    assert cells["Python: flask 3"][4] == "start"
    assert cells["Python: jupyterlab 4"][4] == "no"


def test_a_step_is_shown_once_with_all_changes_to_it() -> None:
    made = jupyter().file("/root/.cache/pip/x", 9 * MB)
    (step,) = report(made).steps
    assert step.patch == (
        "- RUN pip install flask jupyterlab\n+ RUN pip install --no-cache-dir flask"
    )


def test_an_image_that_ships_nothing_for_nothing_is_told_so() -> None:
    made = Made().file(f"{SITE}/flask/x.so", MB, package=python("flask 3"), read=Stage.READY)
    found = report(made)
    assert not found.advice
    assert headline(found).startswith("Nothing to take out of own")


def test_the_report_outlives_its_way_to_json_and_back() -> None:
    found = report(jupyter())
    assert AdviceReport.model_validate_json(found.to_json()).to_json() == found.to_json()
    assert json.loads(found.to_json())["advice"][0]["kind"] == "unread_package"


def test_markdown_has_every_row_and_each_patch_as_a_diff() -> None:
    text = to_markdown(report(jupyter()))
    assert text.startswith("# First: do not install jupyterlab")
    assert "```diff\n- RUN pip install flask jupyterlab\n+ RUN pip install flask\n```" in text
    assert "| Python: jupyterlab 4 |" in text


def test_a_terminal_of_ordinary_width_cuts_no_figure() -> None:
    lines = [line for line in shown(report(jupyter())).splitlines() if "jupyterlab 4" in line]
    assert "60.0" in lines[0]


def test_without_a_payload_the_command_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["images", "advise", "mine:1"]) == 2
    said = capsys.readouterr().err
    assert "no payload was named" in said
    assert "--payload request.json" in said


def test_a_payload_that_is_not_there_or_of_no_known_type_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["images", "advise", "mine:1", "--payload", str(tmp_path / "no.json")]) == 2
    assert "no.json cannot be read" in capsys.readouterr().err
    odd = tmp_path / "body.kind9"
    odd.write_bytes(b"1")
    assert main.run(["images", "advise", "mine:1", "--payload", str(odd)]) == 2
    assert "--content-type" in capsys.readouterr().err


def test_content_types_go_to_payloads_in_their_order(tmp_path: Path) -> None:
    for name in ("a.json", "b.bin"):
        (tmp_path / name).write_bytes(name.encode())
    options = images_advise.AdviseOptions(
        image="mine:1",
        payload=[tmp_path / "a.json", tmp_path / "b.bin"],
        content_type=["text/csv", "application/x-npy"],
    )
    assert [one.content_type for one in images_advise.payloads_of(options)] == [
        "text/csv",
        "application/x-npy",
    ]
