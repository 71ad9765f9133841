"""A stranger's SavedModel: its serving signature, as the TensorFlow variants call it."""

import os
import re
import shutil
from math import prod
from pathlib import Path
from typing import Any, Final

import tensorflow as tf

from models.imported_ends import End, Refused, Source, numeric

_SERVED: Final = "serving_default"
_OP: Final = re.compile(r"Op type not registered '([^']+)'")


def read(folder: Path, out: Path) -> Source:
    """Leave ``saved_model/`` in ``out``; raises ``Refused``."""
    # As the service's backend and ``ServedModel`` do, which cannot any more once it has run.
    tf.config.threading.set_intra_op_parallelism_threads(os.cpu_count() or 1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises whatever the layer below raised
        raise _fault(folder.name, " ".join(str(error).split())) from error
    names = sorted(model.signatures)
    if _SERVED not in names and len(names) != 1:
        raise Refused(
            f"{folder.name} has no signature {_SERVED}; it has {', '.join(names) or 'none'}.",
            f'Save it with signatures={{"{_SERVED}": ...}}, or with one signature only.',
        )
    notes = []
    target = out / "saved_model"
    if _SERVED in names:
        signature = model.signatures[_SERVED]
        shutil.copytree(folder, target)
    else:
        signature = model.signatures[names[0]]
        tf.saved_model.save(model, str(target), signatures={_SERVED: signature})
        notes.append(f"The signature {names[0]} is called {_SERVED} now.")
    inputs = [
        _end(name, spec) for name, spec in sorted(signature.structured_input_signature[1].items())
    ]
    outputs = [_end(name, spec) for name, spec in sorted(signature.structured_outputs.items())]
    kept, left = numeric("signature", inputs, outputs)
    return Source(
        runtime="tensorflow",
        inputs=inputs,
        outputs=kept,
        parameters=sum(prod(one.shape) for one in signature.variables),
        facts={"producer": f"TensorFlow {_version(model)}".strip(), "signature": names[0]}
        | ({"signature": _SERVED} if _SERVED in names else {}),
        notes=[*notes, left] if left else notes,
    )


def _end(name: str, spec: Any) -> End:
    shape = None if spec.shape.rank is None else list(spec.shape)
    return End(name=name, dtype=spec.dtype.name, shape=shape)


def _version(model: Any) -> str:
    return str(getattr(model, "tensorflow_version", ""))


def _fault(name: str, message: str) -> Refused:
    if found := _OP.search(message):
        return Refused(
            f"TensorFlow {tf.__version__} has no operator {found[1]}, which {name} needs.",
            "Export the model without it: custom operators need a library of their own, which the "
            "images do not have.",
        )
    return Refused(
        f"TensorFlow {tf.__version__} cannot load {name}: {message[:500]}",
        "Save it again: a SavedModel is the folder with saved_model.pb and variables/.",
    )
