"""The table that sets an int8 model beside the float one."""

from typing import Any

from rich.console import Console

from lab.cli.models_quantised import quantised_table

CARD: dict[str, Any] = {
    "metrics": {"qwk": 0.92},
    "quantised": {
        "of": "retinopathy-vgg19",
        "verdict": "smaller, not faster on this processor (1.00x)",
        "excluded": ["Gemm_1"],
        "processor": {"model": "Xeon", "architecture": "x86_64", "vnni": False},
        "float": {"bytes": 80e6, "load_ms": 90, "first_ms": 300, "warm_ms": 200, "qwk": 0.93},
        "int8": {"bytes": 20e6, "load_ms": 30, "first_ms": 290, "warm_ms": 100},
        "agreement": {"value": 0.97, "low": 0.93, "high": 0.99, "n": 100},
        "max_abs_difference": 0.2,
    },
}


def text(card: dict[str, Any]) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(quantised_table(card))
    return capture.get()


def test_both_stand_side_by_side_with_what_a_million_costs() -> None:
    said = text(CARD)
    assert "int8 is smaller, not faster on this processor" in said
    # 0.00002 dollars for a GB's second: 200 ms and 100 ms a million times.
    (price,) = (line for line in said.splitlines() if line.startswith("a million"))
    assert price.split()[-2:] == ["$4.00", "$2.00"]
    (kappa,) = (line for line in said.splitlines() if line.startswith("kappa"))
    assert kappa.split()[-2:] == ["0.930", "0.920"]
    assert "without VNNI: weights of 7 bits" in said
    assert "97.0% of 100 held-out eyes" in said


def test_a_head_that_was_taught_anew_is_told_with_what_int8_alone_lost() -> None:
    tried = [{"left_out": [], "loss": 0.1155}, {"left_out": ["Gemm_1"], "loss": 0.0}]
    quantised = {**CARD["quantised"], "tried": tried}
    said = " ".join(text({**CARD, "quantised": {**quantised, "repaired": True}}).split())
    assert "head was taught anew" in said
    assert "int8 alone lost 0.116 of kappa" in said
    assert "taught" not in text({**CARD, "quantised": {**quantised, "repaired": False}})


def test_a_float_model_has_no_such_table() -> None:
    assert quantised_table({"metrics": {}}) is None
