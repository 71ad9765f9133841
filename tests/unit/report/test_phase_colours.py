"""Phases have one set of colours: ``lab.spec`` has it, the report's style is made from it."""

from lab.report.page.html import _environment
from lab.spec import PHASE_COLOURS, Phase


def test_every_phase_has_its_colours_in_the_reports_style() -> None:
    style = _environment().get_template("style.css").render()
    for phase in Phase:
        colour = PHASE_COLOURS[phase]
        assert f"--{phase}: light-dark({colour.light}, {colour.dark});" in style
        assert style.count(f"--{phase}:") == 1


def test_no_two_phases_look_alike() -> None:
    for ground in ("light", "dark", "either"):
        assert len({getattr(colour, ground) for colour in PHASE_COLOURS.values()}) == len(Phase)
