"""The page's colours, light, dark and printed. Tests hold their contrast."""

from collections.abc import Mapping

_INK = {
    "page": "#fdfdfb", "panel": "#f4f4f0", "ink": "#1c2126", "soft": "#555d66", "rule": "#d8d9d4",
    "strong-rule": "#1c2126", "measured": "#075985", "own": "#0f6b4f", "diff": "#8a4300",
    "link": "#1f4f8f", "focus": "#b45309", "good": "#0f6b3a", "bad": "#a51d2d", "note": "#fdf3d7",
}  # fmt: skip
_BARS = {"bar-published": "#9aa1a9", "bar-measured": "#2479ad", "bar-own": "#2f9872"}
_SHARES = {
    "user": "#8fb8a0", "kernel": "#2479ad", "hypervisor": "#7a4fa3", "interrupt": "#b58a00",
    "spin": "#c2410c", "idle": "#e7e8e4",
}  # fmt: skip
_METHODS = {
    "giant": "#a3480b", "coarse": "#806400", "fine": "#0b6e4f", "lock-free": "#0b6a8f",
    "asymmetric": "#7a4fa3", "virtualization": "#b03060", "reimplementation": "#3b5bb5",
    "booted": "#1c2126",
}  # fmt: skip

LIGHT: Mapping[str, str] = {**_INK, **_BARS, **_SHARES, **_METHODS}
"""Dark on light: text, bars, where time goes, and a colour for each method."""

DARK: Mapping[str, str] = {
    "page": "#15181b", "panel": "#1d2125", "ink": "#e7e9eb", "soft": "#a8b0b8", "rule": "#363c42",
    "strong-rule": "#c3c8cd", "measured": "#7cc6ee", "own": "#74d3ae", "diff": "#f0b46e",
    "link": "#9cc4f5", "focus": "#f0b46e", "good": "#7ed6a0", "bad": "#ff9aa5", "note": "#2e2a1c",
    "bar-published": "#79828b", "bar-measured": "#4ba3d6", "bar-own": "#4fb98f",
    "user": "#7fae93", "kernel": "#4ba3d6", "hypervisor": "#b79be0", "interrupt": "#dcb440",
    "spin": "#f0773e", "idle": "#2b3137",
    "giant": "#f0a368", "coarse": "#e0c34a", "fine": "#63cfa6", "lock-free": "#6cc3ea",
    "asymmetric": "#c3a2ea", "virtualization": "#f48fb4", "reimplementation": "#9fb4f7",
    "booted": "#e7e9eb",
}  # fmt: skip
"""Light on dark."""

PRINT: Mapping[str, str] = {
    **LIGHT, "page": "#ffffff", "panel": "#f2f2f2", "ink": "#000000", "soft": "#444444", "rule": "#bbbbbb",
    "strong-rule": "#000000", "link": "#000000", "note": "#f2f2f2",
}  # fmt: skip
"""On paper."""


def declarations(palette: Mapping[str, str]) -> str:
    """Return a palette as declarations of a style sheet, with the names that the map's picture has."""
    names = {**palette, "ground": palette["page"], "line": palette["rule"]}
    return " ".join(f"--{name}: {colour};" for name, colour in names.items())
