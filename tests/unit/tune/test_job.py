from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.api import EngineFacts
from lab.errors import UsageError
from lab.loadtest.targets.api import LoadPayload
from lab.loadtest.targets.sizes import Size
from lab.loadtest.targets.subject import ImageRequest
from lab.progress import Silent
from lab.spec import EngineKind, Platform
from lab.tune.job import MoneyJob, TuneJob, again, begin, chosen_sizes, complete, go_on
from lab.tune.record import IDLE_LIFE_S, Part
from tests.unit.engine.fake import FakeEngine

PAYLOAD = LoadPayload(name="body", body=b"hello", content_type="text/plain")
JOB = TuneJob(
    request=ImageRequest(name="x:1", payload=PAYLOAD), payload_path=None, sizes=[Size.parse("2048")]
)


def facts(gib: int = 8) -> EngineFacts:
    return replace(FakeEngine().facts(), memory_bytes=gib * 1024**3)


def sizes(*names: str) -> list[Size]:
    return [Size.parse(name) for name in names]


def test_every_memory_size_is_measured_unless_some_are_named() -> None:
    found, notes = chosen_sizes([], facts())
    assert [one.name for one in found] == ["1024", "2048", "3072", "4096", "5120", "6144"]
    assert not notes


def test_instances_are_measured_beside_the_memory_sizes() -> None:
    found, _ = chosen_sizes(sizes("ml.m5.large"), facts())
    assert [one.name for one in found][-2:] == ["6144", "ml.m5.large"]
    found, _ = chosen_sizes(sizes("1024", "ml.m5.large"), facts())
    assert [one.name for one in found] == ["1024", "ml.m5.large"]


def test_sizes_that_the_machine_has_not_are_left_out_and_named() -> None:
    found, notes = chosen_sizes([], facts(gib=4))
    assert [one.name for one in found] == ["1024", "2048", "3072", "4096"]
    assert [note.split(".")[0] for note in notes] == [
        "5120 MB was left out",
        "6144 MB was left out",
    ]


def test_a_size_that_was_asked_for_and_that_the_machine_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match="has not the memory for 5120 MB: it has 4 GiB"):
        chosen_sizes(sizes("1024", "5120"), facts(gib=4))


def test_what_the_machine_has_less_of_is_capped_and_says_so() -> None:
    (found,), _ = chosen_sizes(sizes("6144"), facts())
    assert found.capped
    assert found.given_cpus == 2.0
    assert "2 of 3.47 vCPU" in found.notes[0]


@pytest.mark.parametrize(
    ("named", "match"), [(("1024", "1GB"), "named twice"), (("host",), "no size that AWS has")]
)
def test_sizes_that_make_no_sense_are_refused(named: tuple[str, ...], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        chosen_sizes(sizes(*named), facts())


def test_traffic_is_given_once() -> None:
    with pytest.raises(UsageError, match="given twice"):
        MoneyJob(requests_per_day=5, schedule="constant:rate=1,for=60s").traffic(1)


def test_a_schedule_s_day_and_peak_are_known() -> None:
    traffic, schedule = MoneyJob(schedule="constant:rate=2,for=60s").traffic(1)
    assert traffic is not None
    assert schedule is not None
    assert (traffic.requests_per_day, traffic.peak_per_s) == (2 * 86_400, 2)


def test_what_is_asked_is_kept_before_anything_is_measured() -> None:
    ready = begin(JOB, FakeEngine(), Silent())
    tune = ready.folder.tune()
    assert (tune.name, tune.payload.name, tune.model) == ("x:1", "body", None)
    assert tune.idle_life_s == IDLE_LIFE_S
    assert {part for _, _, part in tune.order} == {Part.NEW, Part.RESIZED}
    assert not complete(ready.folder)


def test_processes_are_not_resized_and_that_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(kind=EngineKind.PROCESS)
    monkeypatch.setattr("lab.images.build.ensure", lambda *_, **__: None)
    job = replace(JOB, request=ImageRequest(name="floor", payload=PAYLOAD))
    tune = begin(job, engine, Silent()).tune
    assert {part for _, _, part in tune.order} == {Part.NEW}
    assert any("not changed while running" in note for note in tune.notes)


def test_a_type_with_another_processor_than_the_image_s_is_refused() -> None:
    job = replace(JOB, sizes=sizes("ml.m6g.large"))
    with pytest.raises(UsageError, match="runs images for linux/arm64"):
        begin(job, FakeEngine(platform=Platform.AMD64), Silent())


def test_a_price_file_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    engine = FakeEngine()
    job = replace(JOB, money=MoneyJob(prices=tmp_path / "none.csv"))
    with pytest.raises(UsageError, match=r"none\.csv"):
        begin(job, engine, Silent())
    assert not engine.made


def test_other_traffic_needs_no_new_run() -> None:
    folder = begin(JOB, FakeEngine(), Silent()).folder
    again(folder.path.name, MoneyJob(schedule="constant:rate=2,for=60s", idle_life_s=60.0))
    tune = folder.tune()
    assert tune.traffic is not None
    assert (tune.traffic.said, tune.idle_life_s) == ("constant:rate=2,for=60s", 60.0)
    assert folder.schedule() is not None
    again(folder.path.name, MoneyJob(requests_per_day=5))
    assert folder.schedule() is None


def test_an_image_that_changed_meanwhile_is_not_gone_on_with(tmp_path: Path) -> None:
    body = tmp_path / "body.txt"
    body.write_bytes(PAYLOAD.body)
    engine = FakeEngine()
    folder = begin(replace(JOB, payload_path=body), engine, Silent()).folder
    assert go_on(folder, engine, Silent()).subject.payload == PAYLOAD.body
    engine.ids["x:1"] = "sha256:2"
    with pytest.raises(UsageError, match="the image changed"):
        go_on(folder, engine, Silent())


def test_a_run_that_there_is_not_is_refused_with_those_there_are() -> None:
    folder = begin(JOB, FakeEngine(), Silent()).folder
    with pytest.raises(UsageError) as refused:
        again("nothing", MoneyJob())
    assert folder.path.name in refused.value.remedy
