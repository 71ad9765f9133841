"""The kinds of panels that the boards use, each with the look they share.

A function makes a builder of the SDK with our defaults; a board goes on from there:
``lines("Requests", "…", query(…)).unit(REQUESTS)``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    dashboard,
    gauge,
    heatmap,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as formats
from grafana_foundation_sdk.models import text as modes
from grafana_foundation_sdk.models import units

from lab.spec import PHASE_COLOURS, Phase

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source that services/grafana/provisioning makes under this uid."""

SECONDS: Final = units.Seconds
BYTES: Final = units.BytesSI
RATIO: Final = units.PercentUnit
REQUESTS: Final = units.RequestsPerSecond
COUNT: Final = units.Short
PLAIN: Final = units.Number

GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#7d8791"


def query(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """A query over the range of the board."""
    return prometheus.Dataquery().expr(expr).range().legend_format(legend)


def now(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """A query at the end of the range: one value a series."""
    return prometheus.Dataquery().expr(expr).instant().legend_format(legend)


def rows(expr: str) -> prometheus.Dataquery:
    """A query at the end of the range, as a table: a row a series, a column a label."""
    return prometheus.Dataquery().expr(expr).instant().format(formats.PromQueryFormat.TABLE)


def buckets(expr: str) -> prometheus.Dataquery:
    """A histogram's buckets over the range."""
    asked = prometheus.Dataquery().expr(expr).range().legend_format("{{le}}")
    return asked.format(formats.PromQueryFormat.HEATMAP)


def note(content: str) -> text.Panel:
    """What to look for."""
    return text.Panel().title("What to look for").mode(modes.TextMode.MARKDOWN).content(content)


def lines(title: str, about: str, *queries: prometheus.Dataquery) -> timeseries.Panel:
    """Curves over time."""
    return (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered(queries))
        .draw_style(kinds.GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(8)
        .show_points(kinds.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .color_scheme(_colours(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend())
        .tooltip(_tooltip())
    )


def stacked(title: str, about: str, *queries: prometheus.Dataquery) -> timeseries.Panel:
    """Areas over time, one on the other."""
    return (
        lines(title, about, *queries)
        .fill_opacity(45)
        .line_width(1)
        .stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    )


def sticks(title: str, about: str, *queries: prometheus.Dataquery) -> timeseries.Panel:
    """Bars over time, one on the other: for things that happen now and then."""
    return stacked(title, about, *queries).draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(70)


def steps(title: str, about: str, *queries: prometheus.Dataquery) -> timeseries.Panel:
    """Curves that stay until they change."""
    return lines(title, about, *queries).line_interpolation(kinds.LineInterpolation.STEP_AFTER)


def bounded(panel: timeseries.Panel, limits: tuple[float, float]) -> timeseries.Panel:
    """The same with a dashed line at each limit."""
    style = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(rising(limits)).thresholds_style(style)


def logarithmic(panel: timeseries.Panel) -> timeseries.Panel:
    """The same with an axis on which milliseconds and seconds both can be read."""
    axis = common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10)
    return panel.scale_distribution(axis).fill_opacity(0)


def dashed(panel: timeseries.Panel, pattern: str) -> timeseries.Panel:
    """The same with those series dashed and empty below whose name matches."""
    stroke = {"fill": "dash", "dash": [8, 6]}
    return panel.override_by_regexp(
        pattern,
        [
            _set("custom.lineStyle", stroke),
            _set("custom.fillOpacity", 0),
            _set("color", _fixed(RED)),
        ],
    )


def figure(title: str, about: str, *queries: prometheus.Dataquery) -> stat.Panel:
    """One number, large."""
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered(queries))
        .reduce_options(_newest())
        .color_mode(kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .text_mode(kinds.BigValueTextMode.VALUE)
        .color_scheme(_colours(models.FieldColorModeId.THRESHOLDS))
        .thresholds(plain())
    )


def named_figure(title: str, about: str, *queries: prometheus.Dataquery) -> stat.Panel:
    """One number with the name of what has it."""
    return figure(title, about, *queries).text_mode(kinds.BigValueTextMode.VALUE_AND_NAME)


def dial(title: str, about: str, *queries: prometheus.Dataquery) -> gauge.Panel:
    """A share of something that has an end."""
    return (
        gauge.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered(queries))
        .reduce_options(_newest())
        .show_threshold_markers(True)  # noqa: FBT003 - the SDK's way
        .color_scheme(_colours(models.FieldColorModeId.THRESHOLDS))
        .min(0)
        .max(1)
    )


def gauges(title: str, about: str, *queries: prometheus.Dataquery) -> bargauge.Panel:
    """A bar for each series, at the end of the range."""
    return (
        bargauge.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered(queries))
        .reduce_options(_newest())
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .value_mode(kinds.BarGaugeValueMode.TEXT)
        .color_scheme(_colours(models.FieldColorModeId.THRESHOLDS))
        .min(0)
    )


def bars(
    title: str,
    about: str,
    rows_of: str,
    colours_of: str,
    expr: str,
    *,
    in_order: bool = False,
    colours: Mapping[str, str] | None = None,
) -> barchart.Panel:
    """A group of bars for each value of one label, a colour for each of another.

    The groups come in the query's order, or ``in_order`` of the label's values. ``colours`` are
    fixed ones, where names alone would give two that look alike.
    """
    panel = (
        barchart.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered([rows(expr)]))
        .transformations([*_sorting(rows_of, wanted=in_order), *_matrix(rows_of, colours_of)])
        .x_field(f"{rows_of}\\{colours_of}")
        .orientation(kinds.VizOrientation.VERTICAL)
        .stacking(kinds.StackingMode.NONE)
        .show_value(kinds.VisibilityMode.AUTO)
        .group_width(0.75)
        .bar_width(0.95)
        .fill_opacity(80)
        .color_scheme(_colours(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .axis_soft_min(0)
        .legend(_legend())
        .tooltip(_tooltip())
    )
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_set("color", _fixed(colour))])
    return panel


def phases(title: str, about: str, rows_of: str, expr: str) -> barchart.Panel:
    """A bar for each value of a label: its start's phases in their order, one after the other."""
    return (
        bars(
            title,
            about,
            rows_of,
            "phase",
            expr,
            colours={phase.value: colour.either for phase, colour in PHASE_COLOURS.items()},
        )
        .transformations([*_matrix(rows_of, "phase"), _ordered(rows_of)])
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .stacking(kinds.StackingMode.NORMAL)
        .show_value(kinds.VisibilityMode.NEVER)
        .unit(SECONDS)
    )


def sheet(
    title: str,
    about: str,
    columns: Mapping[str, tuple[str, str]],
    *,
    labels: Sequence[str],
) -> table.Panel:
    """A table: ``columns`` are heading to query and unit, joined where ``labels`` are the same."""
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered([rows(expr) for expr, _ in columns.values()]))
        .cell_height(kinds.TableCellHeight.SM)
        .thresholds(plain())
    )
    # A column of a single query is called Value, of several Value #A, Value #B, ...
    several = len(columns) > 1
    fields = [f"Value #{_letter(n)}" if several else "Value" for n in range(len(columns))]
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate([*labels, *fields])},
        "renameByName": dict(zip(fields, columns, strict=True)),
    }
    merge = [models.DataTransformerConfig(id_val="merge", options={})] if several else []
    panel = panel.transformations(
        [*merge, models.DataTransformerConfig(id_val="organize", options=organize)]
    )
    for heading, (_, unit) in columns.items():
        panel = panel.override_by_name(heading, [_set("unit", unit)])
    return panel


def bar_cell(panel: table.Panel, heading: str, unit: str, colour: str) -> table.Panel:
    """The same with a column whose values are drawn as bars too."""
    bar = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return panel.override_by_name(
        heading,
        [
            _set("unit", unit),
            _set("custom.cellOptions", bar),
            _set("color", _fixed(colour)),
            _set("min", 0),
        ],
    )


def sorted_by(panel: table.Panel, heading: str) -> table.Panel:
    """The same with the smallest of a column on top."""
    return panel.sort_by([common.TableSortByFieldState().display_name(heading).desc(False)])  # noqa: FBT003


def warmth(title: str, about: str, expr: str) -> heatmap.Panel:
    """How often which value came, over time."""
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_lettered([buckets(expr)]))
        .calculate(False)  # noqa: FBT003 - the SDK's way
        .color(heatmap.HeatmapColorOptions().scheme("Blues").steps(64).exponent(0.5).fill(BLUE))
        .cell_gap(1)
        .hide_y_histogram()
        .mode(kinds.TooltipDisplayMode.SINGLE)
        .show_legend()
    )


def rising(limits: tuple[float, float]) -> dashboard.ThresholdsConfig:
    """Green, from the first limit on orange, from the second on red."""
    return _thresholds([(None, GREEN), (limits[0], ORANGE), (limits[1], RED)])


def falling(limits: tuple[float, float]) -> dashboard.ThresholdsConfig:
    """Red, from the first limit on orange, from the second on green."""
    return _thresholds([(None, RED), (limits[0], ORANGE), (limits[1], GREEN)])


def none_is_good() -> dashboard.ThresholdsConfig:
    """Green at 0, red from 1 on."""
    return _thresholds([(None, GREEN), (1, RED)])


def plain() -> dashboard.ThresholdsConfig:
    """A figure that is neither good nor bad."""
    return _thresholds([(None, BLUE)])


def _thresholds(of: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    made = [models.Threshold(value=value, color=colour) for value, colour in of]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _lettered(queries: Sequence[prometheus.Dataquery]) -> list[Any]:
    return [
        one.ref_id(_letter(place)).datasource(SOURCE).editor_mode(formats.QueryEditorMode.CODE)
        for place, one in enumerate(queries)
    ]


def _sorting(label: str, *, wanted: bool) -> list[models.DataTransformerConfig]:
    options = {"fields": {}, "sort": [{"field": label, "desc": False}]}
    return [models.DataTransformerConfig(id_val="sortBy", options=options)] if wanted else []


def _matrix(rows_of: str, colours_of: str) -> list[models.DataTransformerConfig]:
    options = {
        "rowField": rows_of,
        "columnField": colours_of,
        "valueField": "Value",
        "emptyValue": "null",
    }
    return [models.DataTransformerConfig(id_val="groupingToMatrix", options=options)]


def _ordered(rows_of: str) -> models.DataTransformerConfig:
    order = [f"{rows_of}\\phase", *(phase.value for phase in Phase)]
    options = {
        "excludeByName": {},
        "indexByName": {name: place for place, name in enumerate(order)},
        "renameByName": {},
    }
    return models.DataTransformerConfig(id_val="organize", options=options)


def _set(key: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=key, value=value)


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}


def _colours(mode: models.FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(True)  # noqa: FBT003 - the SDK's way
        .calcs([])
    )


def _tooltip() -> common.VizTooltipOptions:
    tip = common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI)
    return tip.sort(kinds.SortOrder.DESCENDING)


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)  # noqa: FBT003
