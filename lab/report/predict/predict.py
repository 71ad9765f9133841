"""A run in, a prediction out: the fit, its trial on what it has not seen, the run's variants."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lab.aws.measure.folder import MeasureFolder
from lab.coldstart.summary import Pair
from lab.errors import UsageError
from lab.images.variants import BASELINE
from lab.report.predict.constants import Constant, value
from lab.report.predict.figures import SMALL, Figure, on_instance, published
from lab.report.predict.lines import constant_lines, figure_lines
from lab.report.predict.measured import figures as measured_figures
from lab.report.predict.model import Prediction
from lab.report.predict.variants import Fitted, variant_lines
from lab.report.predict.work import Evidence, Key, gather
from lab.report.predict.worlds import worlds
from lab.report.study.published import MOBILENET, NAMES, VGG19
from lab.report.summary import Results
from lab.report.words import count_bytes
from lab.spec import MB_PER_VCPU
from lab.units import format_rate

PLAN: Final = "study-quick"
_NEEDED: Final = ((SMALL, MOBILENET), (BASELINE, MOBILENET))
_TRIED: Final = ((SMALL, VGG19), (BASELINE, VGG19))
_PROCESSOR: Final = "cpu_model"


def predict(
    results: Results,
    *,
    fitted_by: Results | None = None,
    measured: Sequence[MeasureFolder] = (),
) -> Prediction:
    """What AWS will show for a run.

    ``fitted_by``: another run of this machine, whose starts of ``slim`` and ``baseline`` stand for
    the study's; ``measured``: what ``lab push measure`` left. Raises ``UsageError`` where there is
    nothing to fit the model to.
    """
    reference = fitted_by or results
    _same_processor(reference, results)
    found = gather(results.measured)
    run = {key: one for key, one in found.items() if isinstance(one, Evidence)}
    base = _of_the_study(reference)
    tried = all(key in base for key in _TRIED)
    held_out = [*(published(VGG19) if tried else ()), *_instances(base)]
    targets = published(MOBILENET)
    own = [figure for folder in measured for figure in measured_figures(folder, run)]
    outcome = worlds(
        targets=targets,
        tried=held_out,
        own=own,
        fitted=base,
        run=run,
        seed=results.recorded.run.seed,
    )
    ids = [folder.run().id for folder in measured]
    fitted_works = [outcome.measured.fitted[key] for key in _NEEDED]
    return Prediction(
        run=results.recorded.run.id,
        fitted_by=reference.recorded.run.id,
        constants=constant_lines(outcome, ids),
        fitted=[*figure_lines(targets, outcome), *figure_lines(own, outcome)],
        held_out=figure_lines(held_out, outcome),
        variants=list(
            variant_lines(
                found,
                results.measured,
                outcome,
                fitted=Fitted.of(fitted_works),
                bandwidth_bits_per_s=results.recorded.run.bandwidth_bits_per_s,
            )
        ),
        notes=list(
            _notes(
                base,
                chunk_s=outcome.interval(lambda world: value(world.constants, Constant.CHUNK)),
                tried=tried,
            )
        ),
    )


def _of_the_study(reference: Results) -> Mapping[Key, Evidence]:
    """The evidence of the variants that repeat the study's images. Raises ``UsageError``."""
    found = gather(reference.measured)
    base = {}
    for key in (*_NEEDED, *_TRIED):
        mine = found.get(key, "it is not in the run")
        if isinstance(mine, Evidence):
            base[key] = mine
        elif key in _NEEDED:
            raise UsageError(
                f"{reference.recorded.run.id} cannot be predicted: the model is fitted to what "
                f"{SMALL} and {BASELINE} with {NAMES[MOBILENET]} do here, and of {key[0]} {mine}.",
                remedy=f"`lab coldstart run {PLAN}`, and then `lab report predict RUN --fit` with "
                "the id of that run.",
            )
    return base


def _same_processor(reference: Results, results: Results) -> None:
    first, second = (one.recorded.run.host.get(_PROCESSOR) for one in (reference, results))
    if first != second:
        raise UsageError(
            f"{reference.recorded.run.id} is of a {first}, {results.recorded.run.id} of a "
            f"{second}: their CPU seconds are not the same.",
            remedy=f"`lab coldstart run {PLAN}` on the machine of {results.recorded.run.id}.",
        )


def _instances(base: Mapping[Key, Evidence]) -> Iterator[Figure]:
    return (on_instance(model) for model in (MOBILENET, VGG19) if (SMALL, model) in base)


def _notes(base: Mapping[Key, Evidence], *, chunk_s: Pair, tried: bool) -> Iterator[str]:
    small, large = (base[key].work() for key in _NEEDED)
    chunk_bytes = base[_NEEDED[0]].chunk_bytes
    yield (
        f"The study's smallest image is taken to start as {SMALL} does, its largest as {BASELINE}: "
        f"{small.cpu_s:.2f} and {large.cpu_s:.2f} CPU seconds here, "
        f"{count_bytes(small.chunks * chunk_bytes)} and {count_bytes(large.chunks * chunk_bytes)} "
        "read of the image."
    )
    yield (
        f"A processor for {MB_PER_VCPU} MB is Lambda's documented share; AWS publishes none for "
        "serverless endpoints. Start-up uses one thread, so memory beyond that size buys none."
    )
    least, most = chunk_s
    if most == 0:
        read = "nothing"
    else:
        links = [format_rate(round(chunk_bytes * 8 / one, -8)) for one in (most, least) if one]
        read = f"what a link of {' to '.join(links)} takes" + ", or nothing" * (not least)
    yield (
        f"Bytes that are read of an image cost {read}: the rest of the study's image ladder is "
        "explained by the CPU work of its starts. What is never read costs nothing."
    )
    yield (
        "The study loaded its model in the first request, by a loader of its own: that constant "
        "and its handler's are used for its figures alone. Images of the run are predicted as they "
        "are, with the speed of a start; an inference on one processor."
    )
    yield (
        "On an instance: from the beginning of the pull to the first answer, and a warm prediction "
        "inside the container. The minutes that AWS takes to provide the instance are not in it."
    )
    if not tried:
        yield (
            f"{NAMES[VGG19]} with {SMALL} and {BASELINE} is not in the run: the model was not "
            "tried on what it has not seen."
        )
