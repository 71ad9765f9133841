from datetime import date
from pathlib import Path

import pytest

from lab.cost import prices
from lab.cost.charges import data_usd, instances_usd, serverless_usd
from lab.cost.estimate import ASSUMED, Standing, real_time_estimate, serverless_estimate
from lab.cost.prices import NoPriceError, PriceTable
from lab.errors import UsageError

HEAD = "# region: eu-central-1\nitem,unit,usd,as_of,grade,source\n"
SERVERLESS = "serverless,GB-second,0.000024,2026-01-01,C,a friend\n"
STANDING = Standing(image_bytes=10**9, archive_bytes=10**9, alarms=2)


def file(folder: Path, text: str) -> Path:
    path = folder / "prices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        PriceTable.load(file(folder, text))
    return str(caught.value)


def test_every_price_has_a_date_and_a_source() -> None:
    rows = PriceTable.packaged().rows
    assert len(rows) > 30
    for row in rows.values():
        assert row.source
        assert date(2022, 1, 1) <= row.as_of <= date(2026, 12, 31)


def test_every_instance_type_that_has_a_price_can_host() -> None:
    from lab.endpoint.instances import table as instances

    for row in PriceTable.packaged().rows.values():
        if row.unit == "hour":
            assert row.item in instances()


def test_the_packaged_table_can_be_loaded_as_a_file() -> None:
    packaged = PriceTable.packaged()
    loaded = PriceTable.load(Path(prices.__file__).with_name("prices.csv"))
    assert loaded.region == packaged.region
    assert loaded.rows == packaged.rows


def test_another_regions_file_is_used_instead(tmp_path: Path) -> None:
    table = PriceTable.load(
        file(tmp_path, HEAD + SERVERLESS + '\nml.m5.xlarge,hour,0.276,2026-01-01,C,"a, b"\n')
    )
    assert table.region == "eu-central-1"
    assert serverless_usd(seconds=1, memory_mb=1024, table=table) == 0.000024
    assert instances_usd(instance_type="ml.m5.xlarge", instances=1, hours=1, table=table) == 0.276


def test_a_price_that_a_file_lacks_is_missing_by_name_and_not_free(tmp_path: Path) -> None:
    table = PriceTable.load(file(tmp_path, HEAD + SERVERLESS))
    found = table.cost({"serverless": 1000, "data": 5, "alarm": 2})
    assert found.usd is None
    assert found.missing == ("alarm", "data")
    with pytest.raises(NoPriceError, match="data"):
        data_usd(1, table=table)


def test_what_is_not_used_needs_no_price(tmp_path: Path) -> None:
    table = PriceTable.load(file(tmp_path, HEAD + SERVERLESS))
    found = table.cost({"serverless": 1000, "data": 0})
    assert found.usd == pytest.approx(0.024)
    assert found.missing == ()


def test_an_estimate_names_what_its_table_lacks(tmp_path: Path) -> None:
    table = PriceTable.load(file(tmp_path, HEAD + SERVERLESS))
    found = serverless_estimate(
        memory_mb=1024,
        max_concurrency=1,
        work=ASSUMED,
        standing=STANDING,
        region="eu-central-1",
        table=table,
    )
    assert found.idle_usd_per_hour == 0
    assert found.most_usd_per_hour == pytest.approx(0.000024 * 3600)
    assert found.usd_per_request is None
    assert found.kept_usd_per_month is None
    assert found.forgotten_usd_per_month is None
    assert found.missing == ("alarm", "data", "ecr-storage", "s3-storage")
    assert not any("may be higher" in note for note in found.notes)


def test_an_estimate_by_another_regions_prices_says_so(tmp_path: Path) -> None:
    table = PriceTable.load(file(tmp_path, HEAD + SERVERLESS))
    found = real_time_estimate(
        instance_type="ml.m5.xlarge",
        instances=1,
        max_instances=1,
        work=ASSUMED,
        standing=STANDING,
        region="us-east-1",
        table=table,
    )
    assert "ml.m5.xlarge" in found.missing
    assert any("eu-central-1's" in note for note in found.notes)


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ("serverless,GB-second,cheap,2026-01-01,C,x", "usd", "'cheap'"),
        ("serverless,GB-second,0,2026-01-01,C,x", "usd", "greater than 0"),
        ("serverless,GB-second,-1,2026-01-01,C,x", "usd", "greater than 0"),
        ("serverless,GB-second,nan,2026-01-01,C,x", "usd", "'nan'"),
        ("serverless,GB-second,inf,2026-01-01,C,x", "usd", "'inf'"),
        ("serverless,GB-second,1,soon,C,x", "as_of", "'soon'"),
        ("serverless,GB-second,1,2026-01-01,Z,x", "grade", "'Z'"),
        ("serverless,GB-second,1,2026-01-01,C,", "source", "at least 1"),
        ("serverless,GB-hour,1,2026-01-01,C,x", "unit", "'GB-hour'"),
        ("ml.m5.xlarge,month,1,2026-01-01,C,x", "unit", "'month'"),
        ("ml.x9.nano,month,1,2026-01-01,C,x", "unit", "'month'"),
        ("severless,GB-second,1,2026-01-01,C,x", "item", "'severless'"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line_and_column(
    row: str, column: str, said: str, tmp_path: Path
) -> None:
    text = refusal(tmp_path, HEAD + "data,GB,0.016,2026-01-01,C,x\n" + row + "\n")
    assert "prices.csv, line 4" in text
    assert f"column {column}" in text
    assert said in text


def test_a_row_of_another_length_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 3 has 7 columns" in refusal(tmp_path, HEAD + "data,GB,1,2026-01-01,C,x,y\n")


def test_a_price_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "line 4, column item: serverless" in refusal(tmp_path, HEAD + SERVERLESS * 2)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    assert "line 1: the columns are item, price" in refusal(tmp_path, "item,price\n")


def test_a_file_must_say_its_region(tmp_path: Path) -> None:
    text = HEAD.partition("\n")[2] + SERVERLESS
    assert "# region: eu-central-1" in refusal(tmp_path, text)


@pytest.mark.parametrize("text", ["", HEAD, "# region: x\n"])
def test_a_file_without_prices_is_refused(text: str, tmp_path: Path) -> None:
    assert "no prices" in refusal(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv"):
        PriceTable.load(tmp_path / "none.csv")
