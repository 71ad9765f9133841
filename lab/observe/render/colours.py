"""Grafana's colours: by name and from its palette; each for a light and a dark page.

A colour is one string everywhere, CSS's ``light-dark(#…, #…)``: HTML takes it as it is, and the
page's script picks one of the two for Plotly.
"""

import re
from typing import Final

_SHADES: Final = ("super-light", "light", "", "semi-dark", "dark")
_HUES: Final = {
    "red": ("#ffa6b0", "#ff7383", "#f2495c", "#e02f44", "#c4162a", "#ad0317"),
    "orange": ("#ffcb7d", "#ffb357", "#ff9830", "#ff780a", "#fa6400", "#e55400"),
    "yellow": ("#fff899", "#ffee52", "#fade2a", "#f2cc0c", "#e0b400", "#cc9d00"),
    "green": ("#c8f2c2", "#96d98d", "#73bf69", "#56a64b", "#37872d", "#19730e"),
    "blue": ("#c0d8ff", "#8ab8ff", "#5794f2", "#3274d9", "#1f60c4", "#1250b0"),
    "purple": ("#deb6f2", "#ca95e5", "#b877d9", "#a352cc", "#8f3bb8", "#7c2ea3"),
}
"""From light to dark; on a light page each name means the next darker one."""
PALETTE: Final = (
    "green", "semi-dark-yellow", "light-blue", "semi-dark-orange", "red", "blue", "purple",
    "#705da0", "dark-green", "yellow", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62",
    "#584477", "#b7dbab", "#f4d598", "#70dbed", "#f9ba8f", "#f29191", "#82b5d8", "#e5a8e2",
    "#aea2e0", "#629e51", "#e5ac0e", "#64b0c8", "#e0752d", "#bf1b00", "#0a50a1", "#962d82",
    "#614d93", "#9ac48a", "#f2c96d", "#65c5db", "#f9934e", "#ea6460", "#5195ce", "#d683ce",
    "#806eb7", "#3f6833", "#967302", "#2f575e", "#99440a", "#58140c", "#052b51", "#511749",
    "#3f2b5b", "#e0f9d7", "#fceaca", "#cffaff", "#f9e2d2", "#fce2de", "#badff4", "#f9d9f9",
    "#dedaf7",
)  # fmt: skip
"""``palette-classic`` of Grafana 11."""
_SEEN: Final = 1.9
"""The least contrast of a curve."""
_GROUND: Final = ("#ffffff", "#171b20")
_GREY: Final = ("#808080", "#808080")
_HEX: Final = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_PAIR: Final = re.compile(r"light-dark\((#\w{6}), (#\w{6})\)")


def named(name: str) -> str:
    """A colour as a board names it; what is no colour is grey."""
    light, dark = _both(name)
    return f"light-dark({light}, {dark})"


def of_palette(place: int) -> str:
    """The colour of the n-th series."""
    light, dark = _both(PALETTE[place % len(PALETTE)])
    seen = _visible(light, on=_GROUND[0]), _visible(dark, on=_GROUND[1])
    return f"light-dark({seen[0]}, {seen[1]})"


def by_name(name: str) -> str:
    """The same colour for the same name on every panel, as ``palette-classic-by-name``."""
    code = 0
    for letter in name:
        code = (ord(letter) + ((code << 5) & 0xFFFFFFFF) - code) & 0xFFFFFFFF
    signed = code - (1 << 32) if code >= 1 << 31 else code
    return of_palette(abs(signed))


def faded(colour: str, opacity: float) -> str:
    """The same with less of it, 0 to 1."""
    alpha = f"{round(min(max(opacity, 0.0), 1.0) * 255):02x}"
    return _PAIR.sub(rf"light-dark(\g<1>{alpha}, \g<2>{alpha})", colour)


def _visible(colour: str, *, on: str) -> str:
    """The same, darker or lighter as far as it takes to be seen.

    Grafana's palette has 56 colours, and the palest of them are made for dark pages only.
    """
    away = "#000000" if _luminance(on) > 0.5 else "#ffffff"
    mixed = (_mix(colour, away, step / 20) for step in range(20))
    return next((one for one in mixed if contrast(one, on) >= _SEEN), colour)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 has it: 1 for none, 21 for black on white."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [channel / 255 for channel in bytes.fromhex(colour[1:])]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _both(name: str) -> tuple[str, str]:
    shade, _, hue = name.rpartition("-")
    if hue in _HUES and shade in _SHADES:
        place = _SHADES.index(shade)
        return _HUES[hue][place + 1], _HUES[hue][place]
    return (name.lower(), name.lower()) if _HEX.fullmatch(name) else _GREY


def _mix(one: str, other: str, share: float) -> str:
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
