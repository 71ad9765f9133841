"""`lab load schedule`: what a schedule holds, and its file."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lab.cli.load_schedule import schedule
from lab.errors import UsageError
from lab.load.arrivals.parse import parse


def _run(*words: str) -> str:
    app = typer.Typer()
    app.command()(schedule)
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_it_says_how_many_how_fast_and_how_bursty_beside_what_was_asked() -> None:
    drawn = parse("mmpp:rate=20,idc=30,for=5m", seed=7)
    said = _run("mmpp:rate=20,idc=30,for=5m", "--seed", "7")
    assert f"requests  {len(drawn):,} in 300.0 s" in said
    assert f"rate      {drawn.rate_per_s:.4g}/s, {drawn.peak_per_s} in the busiest second" in said
    assert f"IDC       {drawn.idc:.3g}, of " in said
    assert "(asked: 30)" in said
    assert "seed      7" in said


def test_the_bars_follow_the_rate_and_a_silence_is_empty(tmp_path: Path) -> None:
    assert "▄" * 30 + "█" * 30 in _run("steps:10/30s,20/30s")
    path = tmp_path / "two.csv"
    path.write_text("0\n60\n")
    said = _run(str(path))
    assert "█" + " " * 58 + "█" in said
    assert "a column is 1.00 s, the fullest holds 1" in said


def test_what_has_no_index_of_dispersion_says_why() -> None:
    assert "IDC       not told: it takes 100 requests, no trend" in _run("ramp:1-50,for=60s")


def test_the_file_that_it_writes_is_the_same_schedule(tmp_path: Path) -> None:
    out = tmp_path / "new" / "kept.csv"
    said = _run("poisson:rate=20,for=60s", "--out", str(out), "--seed", "3")
    assert f"Written: {out}" in said.replace("\n", "")
    assert parse(str(out)).sha256 == parse("poisson:rate=20,for=60s,seed=3").sha256


def test_the_same_as_json() -> None:
    found = parse("gamma:rate=50,cv=2,for=60s,seed=3")
    facts = json.loads(_run("gamma:rate=50,cv=2,for=60s,seed=3", "--json"))
    assert facts["requests"] == sum(facts["counts"]) == len(found)
    assert (facts["idc"], facts["idc_asked"]) == (found.idc, 4)
    assert (facts["sha256"], facts["seed"]) == (found.sha256, 3)
    assert facts["counts_every_s"] == 1


def test_a_schedule_that_cannot_be_is_refused_with_exit_code_2() -> None:
    with pytest.raises(UsageError, match="rate and for missing") as refused:
        _run("poisson")
    assert refused.value.exit_code == 2
