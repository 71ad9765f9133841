"""What a model's card asks of ONNX Runtime: options of its session, by processor family.

``model.json``: ``"session": {"any": {...}, "x86-64-avx2": {...}}``; a family's go over those for
any. They change how a model starts and runs, never what it answers.
"""

from app.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from app.card import Card

LEVEL = "graph_optimization"
LEVELS = {"none": 0, "basic": 1, "extended": 2, "layout": 3, "all": 99}
"""GraphOptimizationLevel of ``onnxruntime_c_api.h``."""
MAPPED = "session.use_ort_model_bytes_directly"
_ENTRIES = {
    MAPPED,
    "session.use_ort_model_bytes_for_initializers",
    "session.load_model_format",
    "session.disable_prepacking",
    "session.intra_op.allow_spinning",
    "session.intra_op.spin_duration_us",
    "session.qdqisint8allowed",
    "session.x64quantprecision",
}
"""``onnxruntime_session_options_config_keys.h``. The runtime takes any key and says nothing of one
that it does not know: so only these, none of which makes it write a file or load a library."""


def asked(card: "Card") -> tuple[int, dict[str, str]]:
    """The level of graph optimisation and the config entries; raises ``StartError`` that names an
    option which is none.
    """
    session = card.described.get("session", {})
    if not isinstance(session, dict):
        raise _refusal("session is no object")
    options = _of(session, "any")
    if session.keys() - {"any"}:
        from app.processor import family  # what is the same for any need not know

        options |= _of(session, family())
    level = options.pop(LEVEL, "all")
    if not isinstance(level, str) or level not in LEVELS:
        raise _refusal(f"{LEVEL} is {level!r}; it can be {', '.join(LEVELS)}")
    # Threads spin for the next part of a run, and sleep between runs.
    entries = {"session.force_spinning_stop": "1"}
    for key, value in options.items():
        if key not in _ENTRIES:
            raise _refusal(
                f"{key!r} is not known; known are {LEVEL}, {', '.join(sorted(_ENTRIES))}"
            )
        if not isinstance(value, str):
            raise _refusal(f"{key} is {value!r}, and must be text")
        entries[key] = value
    return LEVELS[level], entries


def _of(session: "dict[str, object]", family: str) -> "dict[str, object]":
    found = session.get(family, {})
    if not isinstance(found, dict):
        raise _refusal(f"the options for {family} are no object")
    return dict(found)


def _refusal(fault: str) -> StartError:
    return StartError(f"model.json asks for session options that are none: {fault}.")
