"""Grafana's colours: by name, from its palette, between two; each for a light and a dark page.

A colour is one string everywhere, CSS's ``light-dark(#…, #…)``: HTML takes it as it is, and the
page's script picks one of the two for Plotly.
"""

import re
from collections.abc import Sequence
from typing import Final

_SHADES: Final = ("super-light", "light", "", "semi-dark", "dark")
_HUES: Final = {
    "red": ("#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A", "#AD0317"),
    "orange": ("#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400", "#E55400"),
    "yellow": ("#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400", "#CC9D00"),
    "green": ("#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D", "#19730E"),
    "blue": ("#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4", "#1250B0"),
    "purple": ("#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8", "#7C2EA3"),
}
"""From light to dark; on a light page each name means the next darker one."""
PALETTE: Final = (
    "green", "semi-dark-yellow", "light-blue", "semi-dark-orange", "red", "blue", "purple",
    "#705DA0", "dark-green", "yellow", "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62",
    "#584477", "#B7DBAB", "#F4D598", "#70DBED", "#F9BA8F", "#F29191", "#82B5D8", "#E5A8E2",
    "#AEA2E0", "#629E51", "#E5AC0E", "#64B0C8", "#E0752D", "#BF1B00", "#0A50A1", "#962D82",
    "#614D93", "#9AC48A", "#F2C96D", "#65C5DB", "#F9934E", "#EA6460", "#5195CE", "#D683CE",
    "#806EB7", "#3F6833", "#967302", "#2F575E", "#99440A", "#58140C", "#052B51", "#511749",
    "#3F2B5B", "#E0F9D7", "#FCEACA", "#CFFAFF", "#F9E2D2", "#FCE2DE", "#BADFF4", "#F9D9F9",
    "#DEDAF7",
)  # fmt: skip
"""``palette-classic`` of Grafana 11."""
_CONTINUOUS: Final = {
    "continuous-GrYlRd": ("green", "yellow", "red"),
    "continuous-RdYlGr": ("red", "yellow", "green"),
    "continuous-BlYlRd": ("dark-blue", "super-light-yellow", "dark-red"),
    "continuous-YlRd": ("super-light-yellow", "dark-red"),
    "continuous-BlPu": ("dark-blue", "dark-purple"),
    "continuous-YlBl": ("super-light-yellow", "dark-blue"),
    "continuous-blues": ("@ground", "dark-blue"),
    "continuous-reds": ("@ground", "dark-red"),
    "continuous-greens": ("@ground", "dark-green"),
    "continuous-purples": ("@ground", "dark-purple"),
}
_SCHEMES: Final = {
    "Blues": ("@ground", "light-blue", "dark-blue"),
    "Greens": ("@ground", "light-green", "dark-green"),
    "Oranges": ("@ground", "light-orange", "dark-orange"),
    "Reds": ("@ground", "light-red", "dark-red"),
    "Purples": ("@ground", "light-purple", "dark-purple"),
    "Greys": ("@ground", "#808080"),
    "Spectral": ("#3288bd", "#abdda4", "#ffffbf", "#fdae61", "#d53e4f"),
    "RdYlGn": ("dark-red", "yellow", "dark-green"),
    "YlOrRd": ("super-light-yellow", "orange", "dark-red"),
    "Turbo": ("#30123b", "#1ae4b6", "#faba39", "#7a0403"),
    "Viridis": ("#440154", "#21918c", "#fde725"),
}
_SEEN: Final = 1.9
"""The least contrast of a curve."""
_GROUND: Final = ("#ffffff", "#171b20")
"""Of a panel, where a scale begins at nothing."""
_CSS: Final = {
    "text": ("#15191e", "#e9ecef"),
    "transparent": ("#ffffff00", "#ffffff00"),
    "white": ("#ffffff", "#ffffff"),
    "black": ("#000000", "#000000"),
    "gray": ("#808080", "#808080"),
    "grey": ("#808080", "#808080"),
    "@ground": _GROUND,
}
_HEX: Final = re.compile(r"#(?:[0-9a-fA-F]{3,4}){1,2}")
_RGB: Final = re.compile(r"rgba?\(\s*(\d+)\D+(\d+)\D+(\d+)(?:\D+([\d.]+))?\s*\)")
_PAIR: Final = re.compile(r"light-dark\((#\w+), (#\w+)\)")


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


def continuous(mode: str, share: float) -> str | None:
    """A colour of a continuous scheme; None if there is no such scheme."""
    stops = _CONTINUOUS.get(mode)
    return None if stops is None else between(stops, share)


def scheme(name: str, *, steps: int = 5) -> Sequence[tuple[float, str]]:
    """A heat map's scale, from nothing to the most."""
    stops = _SCHEMES.get(name, _SCHEMES["Oranges"])
    return [(n / (steps - 1), between(stops, n / (steps - 1))) for n in range(steps)]


def between(stops: Sequence[str], share: float) -> str:
    """Mixed from the two stops around."""
    at = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(at), len(stops) - 2)
    pairs = zip(_both(stops[first]), _both(stops[first + 1]), strict=True)
    light, dark = (_mix(one, other, at - first) for one, other in pairs)
    return f"light-dark({light}, {dark})"


def faded(colour: str, opacity: float) -> str:
    """The same with less of it, 0 to 1."""
    found = _PAIR.fullmatch(colour)
    if not found:
        return colour
    alpha = f"{round(min(max(opacity, 0.0), 1.0) * 255):02x}"
    return f"light-dark({found[1][:7]}{alpha}, {found[2][:7]}{alpha})"


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on it."""
    found = _PAIR.fullmatch(colour)
    if not found:
        return "inherit"
    light, dark = ("#15191e" if _luminance(one) > 0.35 else "#ffffff" for one in found.groups())
    return f"light-dark({light}, {dark})"


def _visible(colour: str, *, on: str) -> str:
    """The same, darker or lighter as far as it takes to be seen.

    Grafana's palette has 56 colours, and the palest of them are made for dark pages only.
    """
    away = "#000000" if _luminance(on) > 0.5 else "#ffffff"
    mixed = (_mix(colour, away, step / 20) for step in range(20))
    return next((one for one in mixed if _contrast(one, on) >= _SEEN), colour)


def _contrast(one: str, other: str) -> float:
    """As WCAG 2 has it: 1 for none, 21 for black on white."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [channel / 255 for channel in _channels(colour)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _both(name: str) -> tuple[str, str]:
    if name in _CSS:
        return _CSS[name]
    shade, _, hue = name.rpartition("-")
    if hue in _HUES and shade in _SHADES:
        place = _SHADES.index(shade)
        return _HUES[hue][place + 1].lower(), _HUES[hue][place].lower()
    if _HEX.fullmatch(name):
        full = name if len(name) > 5 else "#" + "".join(2 * digit for digit in name[1:])
        return full.lower(), full.lower()
    if found := _RGB.fullmatch(name):
        alpha = "" if found[4] is None else f"{round(float(found[4]) * 255):02x}"
        one = "#" + "".join(f"{min(int(found[n]), 255):02x}" for n in (1, 2, 3)) + alpha
        return one, one
    return _CSS["gray"]


def _channels(colour: str) -> Sequence[int]:
    return [int(colour[n : n + 2], 16) for n in (1, 3, 5)]


def _mix(one: str, other: str, share: float) -> str:
    mixed = [
        round(a + (b - a) * share) for a, b in zip(_channels(one), _channels(other), strict=True)
    ]
    return "#" + "".join(f"{part:02x}" for part in mixed)
