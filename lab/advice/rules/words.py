"""Words that several rules use."""

from collections.abc import Collection, Sequence


def listing(names: Collection[str], most: int = 4) -> str:
    """``a, b and c``; of many the first and how many more."""
    shown: Sequence[str] = [*names]
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most} more"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def capital(text: str) -> str:
    """With its first letter so; the others as they are."""
    return text[:1].upper() + text[1:]
