from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Against, Quantity, Reached
from lab.report.recorded import Recorded
from lab.report.rows import gather, groups, spread
from lab.report.summary import Results, results, to_csv
from lab.spec import FLOOR, Phase, Platform, StartKind
from lab.stats.quantiles import median
from lab.stats.ratios import RatioVerdict
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script

FRESH = StartKind.FRESH


def recorded(script: Script | None = None) -> Recorded:
    run, samples = synthetic.make(script)
    return Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0)


def result(script: Script | None = None) -> Results:
    return results(recorded(script))


def own_image(sample: Sample) -> Sample:
    if sample.cell.variant != "me-srv":
        return sample
    return sample.model_copy(update={"cell": sample.cell.model_copy(update={"model": "in-image"})})


def own_run(blocks: int = 6) -> Recorded:
    run, samples = synthetic.make(
        Script(
            variants=("me-srv", "onnx-slim", FLOOR), kinds=(FRESH,), blocks=blocks, edit=own_image
        )
    )
    order = []
    for block, cell in run.order:
        model = "in-image" if cell.variant == "me-srv" else cell.model
        order.append((block, cell.model_copy(update={"model": model})))
    run = run.model_copy(update={"order": order})
    return Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0)


def test_a_row_is_made_of_the_samples_that_succeeded_after_the_warm_up() -> None:
    def spoil(sample: Sample) -> Sample:
        if (sample.cell.variant, sample.block) == ("slim", 3):
            return synthetic.failed(sample, FailureKind.OOM, "killed", exit_code=137)
        return sample

    script = Script(blocks=8, edit=spoil)
    _, samples = synthetic.make(script)
    expected = [
        sample.total_s
        for sample in samples
        if sample.cell.variant == "slim"
        and sample.cell.start_kind is FRESH
        and sample.block not in (0, 3)
        and sample.total_s
    ]
    row = next(
        one.row
        for one in gather(recorded(script))
        if one.row.variant == "slim" and one.row.start_kind is FRESH
    )
    assert (row.n, row.failures, row.warm_up) == (7, 1, 1)
    assert row.total_s.p50 == median(expected)
    assert row.total_s.p50_ci95 == (min(expected), max(expected))
    assert row.image_compressed_bytes == 431_000_000


def test_quantiles_that_n_does_not_support_are_absent() -> None:
    few = spread([1.0, 2.0, 3.0])
    assert (few.p50, few.p50_ci95, few.range_coverage, few.p75) == (2.0, None, 0.75, None)
    many = spread([float(value) for value in range(29)])
    assert many.p90 is not None
    assert many.p90_ci95 is not None
    assert many.p95 is None
    assert spread([]).p50 is None


def test_rows_come_in_the_order_of_the_optimisation_steps_with_the_floor_last() -> None:
    rows = [one.row for one in gather(recorded()) if one.row.start_kind is FRESH]
    assert [row.variant for row in rows] == ["baseline", "slim", "onnx", "onnx-slim", "floor"]


def test_a_cell_that_left_no_sample_still_has_its_row() -> None:
    rows = gather(recorded(Script(stop_after=0)))
    assert len(rows) == 15
    assert all(one.row.n == 0 and one.row.total_s.p50 is None for one in rows)


def test_phase_medians_are_those_of_the_samples() -> None:
    run = recorded()
    row = next(one for one in gather(run) if one.row.variant == "onnx")
    imports = [sample.phases_s[Phase.IMPORTS] for sample in row.counted]
    assert row.row.phases_s[Phase.IMPORTS] == median(imports)
    assert Phase.BOOT not in row.row.phases_s


def test_outliers_are_named_by_trial_and_still_counted() -> None:
    def slow_one(sample: Sample) -> Sample:
        hit = (sample.cell.variant, sample.block) == ("onnx", 4)
        return synthetic.scaled(sample, 4.0) if hit else sample

    rows = [one for one in gather(recorded(Script(edit=slow_one))) if one.row.variant == "onnx"]
    for one in rows:
        slow = next(sample.trial for sample in one.counted if sample.block == 4)
        assert slow in one.row.outliers
        assert one.row.n == 10


def test_the_floor_belongs_to_every_model_of_its_tier_once() -> None:
    script = Script(models=("retinopathy-mobilenet", "retinopathy-vgg19"), kinds=(FRESH,))
    run = recorded(script)
    floors = [
        sample
        for sample in run.samples
        if not (sample.cell.variant == FLOOR and sample.cell.model == "retinopathy-vgg19")
    ]
    order = [
        (block, cell)
        for block, cell in run.run.order
        if not (cell.variant == FLOOR and cell.model == "retinopathy-vgg19")
    ]
    lone = Recorded(
        folder=run.folder,
        run=run.run.model_copy(update={"order": order}),
        samples=floors,
        torn=0,
    )
    found = groups(gather(lone))
    assert [group.models for group in found] == [["retinopathy-mobilenet"], ["retinopathy-vgg19"]]
    for group in found:
        assert [one.row.variant for one in group.members][-1] == FLOOR
        assert sum(one.row.variant == FLOOR for one in group.members) == 1
    over = [one for one in results(lone).summary.comparisons if one.against is Against.FLOOR]
    assert len(over) == 8


def pairs(found: Results, against: Against) -> Sequence[tuple[str, str, StartKind | None]]:
    return [
        (one.numerator, one.denominator, one.start_kind)
        for one in found.summary.comparisons
        if one.against is against
    ]


def test_each_pair_is_compared_once() -> None:
    found = result(Script(kinds=(FRESH,)))
    assert pairs(found, Against.BASELINE) == [
        ("baseline", "slim", FRESH),
        ("baseline", "onnx", FRESH),
        ("baseline", "onnx-slim", FRESH),
    ]
    assert pairs(found, Against.SMALLEST) == [
        ("slim", "onnx-slim", FRESH),
        ("onnx", "onnx-slim", FRESH),
    ]
    assert len(pairs(found, Against.FLOOR)) == 4


def test_a_ratio_is_that_of_the_rows_medians() -> None:
    found = result(Script(kinds=(FRESH,)))
    medians = {row.variant: row.total_s.p50 or 0.0 for row in found.summary.rows}
    for one in found.summary.comparisons:
        if one.quantity is Quantity.TOTAL:
            assert one.ratio == medians[one.numerator] / medians[one.denominator]
            assert one.interval is not None
            assert one.interval[0] <= one.ratio <= one.interval[1]


def test_equal_variants_show_no_difference() -> None:
    script = Script(
        variants=("slim", "onnx-slim", FLOOR),
        kinds=(FRESH,),
        inside=dict(synthetic.INSIDE, slim=synthetic.INSIDE["onnx-slim"]),
    )
    one = next(c for c in result(script).summary.comparisons if c.against is Against.SMALLEST)
    assert one.verdict is RatioVerdict.SAME


def test_bytes_are_compared_exactly_and_without_an_interval() -> None:
    found = [c for c in result().summary.comparisons if c.quantity is Quantity.COMPRESSED]
    assert [(c.numerator, c.ci95) for c in found] == [
        ("baseline", None),
        ("slim", None),
        ("onnx", None),
    ]
    assert found[0].ratio == pytest.approx(902 / 61)


def test_without_compressed_sizes_unpacked_ones_say_which_is_smallest() -> None:
    found = result(Script(compressed=False, kinds=(FRESH,)))
    assert not [c for c in found.summary.comparisons if c.quantity is Quantity.COMPRESSED]
    assert pairs(found, Against.SMALLEST)[0] == ("slim", "onnx-slim", FRESH)


def test_emulated_timings_are_in_no_ratio() -> None:
    found = result(Script(emulated=True, platform=Platform.ARM64))
    assert all(row.emulated for row in found.summary.rows)
    assert not [c for c in found.summary.comparisons if c.quantity is Quantity.TOTAL]


def test_tiers_are_compared_step_by_step() -> None:
    found = result(Script(tiers=("1024", "2048", "3072"), kinds=(FRESH,), variants=("slim",)))
    steps = [
        (c.variant, c.numerator, c.denominator)
        for c in found.summary.comparisons
        if c.against is Against.TIER
    ]
    assert steps == [("slim", "1024", "2048"), ("slim", "2048", "3072")]


def test_a_users_own_image_is_set_beside_ours_although_it_serves_another_model() -> None:
    found = results(own_run())
    assert pairs(found, Against.REFERENCE) == [("me-srv", "onnx-slim", FRESH)]
    assert pairs(found, Against.SMALLEST) == []
    one = next(c for c in found.summary.comparisons if c.against is Against.REFERENCE)
    assert (one.model, one.denominator_model) == ("in-image", "retinopathy-mobilenet")
    text = found.summary.headline.text
    assert text.startswith("me-srv answers its first prediction 1.51 s after a start")
    later = f"{one.ratio:.2f}x later than onnx-slim"
    assert f"It is ready {later}" in found.summary.headline.detail


def test_the_targets_tell_reached_from_missed_from_unmeasured() -> None:
    targets = {target.id: target for target in result().summary.targets}
    assert {name: target.reached for name, target in targets.items()} == {
        **dict.fromkeys(["fresh", "pull", "floor", "bytes", "size"], Reached.YES),
        **dict.fromkeys(["arm64", "ondemand"], Reached.UNMEASURED),
    }
    rows = {(row.variant, row.start_kind): row.total_s.p50 or 0.0 for row in result().summary.rows}
    assert targets["fresh"].value == rows["baseline", FRESH] / rows["onnx-slim", FRESH]
    slow = dict(synthetic.INSIDE)
    slow["onnx-slim"] = slow["slim"]
    missed = {t.id: t.reached for t in result(Script(inside=slow)).summary.targets}
    assert missed["fresh"] is Reached.NO
    assert missed["floor"] is Reached.NO
    smoke = result(Script(variants=("slim", "onnx-slim", FLOOR), kinds=(FRESH,)))
    assert {t.id: t.reached for t in smoke.summary.targets} == {
        "fresh": Reached.UNMEASURED,
        "ondemand": Reached.UNMEASURED,
        "pull": Reached.UNMEASURED,
        "floor": Reached.YES,
        "bytes": Reached.UNMEASURED,
        "size": Reached.YES,
        "arm64": Reached.UNMEASURED,
    }


def test_the_headline_names_the_winner_and_by_how_much() -> None:
    found = result().summary
    ratio = {
        c.start_kind: c.ratio
        for c in found.comparisons
        if (c.numerator, c.denominator) == ("baseline", "onnx-slim")
    }
    assert found.headline.text == (
        f"onnx-slim is ready {ratio[FRESH]:.1f}x sooner than baseline from a fresh container, "
        f"{ratio[StartKind.PULL]:.1f}x sooner when it must be pulled."
    )


def test_the_headline_owns_up_to_few_samples() -> None:
    text = result(Script(blocks=3)).summary.headline.text
    assert text.count("(few samples)") == 2


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (Script(stop_after=0), "Nothing has been measured yet."),
        (Script(emulated=True, platform=Platform.ARM64), "Only emulated timings were taken"),
        (
            Script(edit=lambda s: synthetic.failed(s, FailureKind.ENGINE, "gone"), blocks=1),
            "No start succeeded: 30 trials failed.",
        ),
        (
            Script(edit=lambda s: synthetic.skipped(s, "no engine"), blocks=1),
            "Nothing was measured: 30 trials skipped.",
        ),
        (Script(process=True, kinds=(FRESH,)), "from a fresh process"),
        (Script(variants=(FLOOR,), kinds=(FRESH,)), "floor answers its first prediction"),
        (Script(variants=("onnx", FLOOR), kinds=(FRESH,)), "onnx answers its first prediction"),
    ],
)
def test_the_headline_is_never_wrong_for_want_of_samples(script: Script, text: str) -> None:
    assert text in result(script).summary.headline.text


def test_the_same_records_give_the_same_summary() -> None:
    assert result().summary.to_json() == result().summary.to_json()


def test_the_csv_has_a_line_per_row_and_the_figures_of_the_json() -> None:
    summary = result().summary
    head, *lines = [line.split(",") for line in to_csv(summary).splitlines()]
    assert len(lines) == len(summary.rows)
    for line, row in zip(lines, summary.rows, strict=True):
        found = dict(zip(head, line, strict=True))
        assert found["variant"] == row.variant
        assert float(found["total_p50_s"]) == row.total_s.p50
        assert row.total_s.p50_ci95 is not None
        assert float(found["total_p50_ci95_low_s"]) == row.total_s.p50_ci95[0]
        assert found["total_p90_s"] == ""
        assert float(found["start_s"]) == row.phases_s[Phase.START]
