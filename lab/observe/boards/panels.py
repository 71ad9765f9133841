"""The kinds of panels that the boards use, each with the look they share.

A function makes a builder of the SDK with our defaults. What ``lab.observe.render`` draws of them
without Grafana is listed in its ``drawable.yaml``.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus
from grafana_foundation_sdk.builders.barchart import Panel as BarChart
from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.gauge import Panel as Gauge
from grafana_foundation_sdk.builders.heatmap import HeatmapColorOptions
from grafana_foundation_sdk.builders.heatmap import Panel as Heatmap
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.text import Panel as Text
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as formats
from grafana_foundation_sdk.models import text as modes
from grafana_foundation_sdk.models import units

from lab.spec import PHASE_COLOURS, Phase

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source that services/grafana/provisioning makes under this uid."""

GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#7d8791"


class Unit(StrEnum):
    """Of a panel's values, by Grafana's names."""

    SECONDS = units.Seconds
    BYTES = units.BytesSI
    RATIO = units.PercentUnit
    REQUESTS = units.RequestsPerSecond
    COUNT = units.Short
    PLAIN = units.Number


_Panel = TypeVar("_Panel", BarChart, BarGauge, Gauge, Heatmap, Stat, Table, TimeSeries)
_Limits = dashboard.ThresholdsConfig


def query(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """A query over the range of the board."""
    return prometheus.Dataquery().expr(expr).range().legend_format(legend)


def now(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """A query at the end of the range: one value a series."""
    return prometheus.Dataquery().expr(expr).instant().legend_format(legend)


def _rows(expr: str) -> prometheus.Dataquery:
    """A query at the end of the range, as a table: a row a series, a column a label."""
    return prometheus.Dataquery().expr(expr).instant().format(formats.PromQueryFormat.TABLE)


def note(content: str) -> Text:
    """What to look for."""
    return Text().title("What to look for").mode(modes.TextMode.MARKDOWN).content(content)


def lines(
    title: str,
    about: str,
    *queries: prometheus.Dataquery,
    unit: Unit,
    limits: _Limits | None = None,
    reaching: float | None = None,
    empty: str = "",
) -> TimeSeries:
    """Curves over time; a dashed line at each limit; an axis ``reaching`` at least so far.

    ``empty`` is what is shown without data, where that is nothing to wonder at.
    """
    panel = (
        _asking(TimeSeries(), title, about, *queries)
        .unit(unit)
        .draw_style(kinds.GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(8)
        .show_points(kinds.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .color_scheme(_colours(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend())
        .tooltip(_tooltip())
    )
    if reaching is not None:
        panel = panel.axis_soft_max(reaching)
    if empty:
        panel = panel.no_value(empty)
    if limits is None:
        return panel
    style = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(limits).thresholds_style(style)


def stacked(title: str, about: str, *queries: prometheus.Dataquery, unit: Unit) -> TimeSeries:
    """Areas over time, one on the other."""
    return (
        lines(title, about, *queries, unit=unit)
        .fill_opacity(45)
        .line_width(1)
        .stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    )


def bar_series(title: str, about: str, *queries: prometheus.Dataquery, unit: Unit) -> TimeSeries:
    """Bars over time, one on the other: for things that happen now and then."""
    panel = stacked(title, about, *queries, unit=unit)
    return panel.draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(70)


def steps(title: str, about: str, *queries: prometheus.Dataquery, unit: Unit) -> TimeSeries:
    """Curves that stay until they change."""
    panel = lines(title, about, *queries, unit=unit)
    return panel.line_interpolation(kinds.LineInterpolation.STEP_AFTER)


def logarithmic(panel: TimeSeries) -> TimeSeries:
    """The same with an axis on which milliseconds and seconds both can be read."""
    axis = common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10)
    return panel.scale_distribution(axis).fill_opacity(0)


def dashed(panel: TimeSeries, pattern: str) -> TimeSeries:
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


def stat(
    title: str,
    about: str,
    expr: str,
    unit: Unit,
    *,
    decimals: int | None = None,
    limits: _Limits | None = None,
    empty: str = "",
    name: str = "",
) -> Stat:
    """One number, large: in blue without limits, with its series' ``name`` if it has one.

    ``empty`` is what is shown without data, where that is nothing to wonder at.
    """
    panel = (
        _newest(_asking(Stat(), title, about, now(expr, name or "__auto")), limits or _plain())
        .unit(unit)
        .color_mode(kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .text_mode(kinds.BigValueTextMode.VALUE_AND_NAME if name else kinds.BigValueTextMode.VALUE)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel.no_value(empty) if empty else panel


def gauge(title: str, about: str, expr: str, *, limits: _Limits) -> Gauge:
    """A share of something that has an end."""
    return (
        _newest(_asking(Gauge(), title, about, now(expr)), limits)
        .unit(Unit.RATIO)
        .show_threshold_markers(True)  # noqa: FBT003 - the SDK's way
        .min(0)
        .max(1)
    )


def bar_gauge(
    title: str, about: str, *queries: prometheus.Dataquery, unit: Unit, limits: _Limits, end: float
) -> BarGauge:
    """A bar for each series, at the end of the range; a full one is ``end``."""
    return (
        _newest(_asking(BarGauge(), title, about, *queries), limits)
        .unit(unit)
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .value_mode(kinds.BarGaugeValueMode.TEXT)
        .min(0)
        .max(end)
    )


def bar_chart(
    title: str,
    about: str,
    rows_of: str,
    colours_of: str,
    expr: str,
    *,
    unit: Unit,
    in_order: bool = False,
    colours: Mapping[str, str] | None = None,
) -> BarChart:
    """A group of bars for each value of one label, a colour for each of another.

    The groups come in the query's order, or ``in_order`` of the label's values. ``colours`` are
    fixed ones, where names alone would give two that look alike.
    """
    ordered = [_sorting(rows_of)] if in_order else []
    panel = (
        _asking(BarChart(), title, about, _rows(expr))
        .unit(unit)
        .transformations([*ordered, _matrix(rows_of, colours_of)])
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


def phases(title: str, about: str, rows_of: str, expr: str) -> BarChart:
    """A bar for each value of a label: its start's phases in their order, one after the other."""
    order = [f"{rows_of}\\phase", *(phase.value for phase in Phase)]
    return (
        bar_chart(
            title,
            about,
            rows_of,
            "phase",
            expr,
            unit=Unit.SECONDS,
            colours={phase.value: PHASE_COLOURS[phase].either for phase in Phase},
        )
        .transformations([_matrix(rows_of, "phase"), _organize(order)])
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .stacking(kinds.StackingMode.NORMAL)
        .show_value(kinds.VisibilityMode.NEVER)
    )


def table(
    title: str,
    about: str,
    columns: Mapping[str, tuple[str, Unit]],
    *,
    labels: Sequence[str],
    bars: Mapping[str, str] | None = None,
    sorted_by: str = "",
    empty: str = "",
) -> Table:
    """``columns`` are heading to query and unit, joined where ``labels`` are the same.

    ``bars`` are the headings whose values are drawn as bars too, with their colours; ``sorted_by``
    is the heading of which the smallest is on top.
    """
    # A column of a single query is called Value, of several Value #A, Value #B, ...
    several = len(columns) > 1
    fields = [f"Value #{_letter(n)}" if several else "Value" for n in range(len(columns))]
    merge = [models.DataTransformerConfig(id_val="merge", options={})] if several else []
    shown = _organize([*labels, *fields], renamed=dict(zip(fields, columns, strict=True)))
    panel = (
        _asking(Table(), title, about, *(_rows(expr) for expr, _ in columns.values()))
        .cell_height(kinds.TableCellHeight.SM)
        .thresholds(_plain())
        .transformations([*merge, shown])
    )
    for heading, (_, unit) in columns.items():
        panel = panel.override_by_name(heading, [_set("unit", unit)])
    for heading, colour in (bars or {}).items():
        cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        look = [_set("custom.cellOptions", cell), _set("color", _fixed(colour)), _set("min", 0)]
        panel = panel.override_by_name(heading, look)
    if sorted_by:
        by = common.TableSortByFieldState().display_name(sorted_by).desc(False)  # noqa: FBT003
        panel = panel.sort_by([by])
    return panel.no_value(empty) if empty else panel


def heatmap(title: str, about: str, expr: str, *, empty: str = "") -> Heatmap:
    """How often which value came, over time; ``expr`` is a histogram's buckets.

    ``empty`` is what is shown without data, where that is nothing to wonder at.
    """
    buckets = query(expr, "{{le}}").format(formats.PromQueryFormat.HEATMAP)
    panel = (
        _asking(Heatmap(), title, about, buckets)
        .calculate(False)  # noqa: FBT003 - the SDK's way
        .color(HeatmapColorOptions().scheme("Blues").steps(64).exponent(0.5).fill(BLUE))
        .cell_gap(1)
        .hide_y_histogram()
        .mode(kinds.TooltipDisplayMode.SINGLE)
        .show_legend()
    )
    return panel.no_value(empty) if empty else panel


def rising(limits: tuple[float, float]) -> _Limits:
    """Green, from the first limit on orange, from the second on red."""
    return _thresholds([(None, GREEN), (limits[0], ORANGE), (limits[1], RED)])


def none_is_good() -> _Limits:
    """Green at 0, red from 1 on."""
    return _thresholds([(None, GREEN), (1, RED)])


def _plain() -> _Limits:
    """A figure that is neither good nor bad."""
    return _thresholds([(None, BLUE)])


def _thresholds(of: Sequence[tuple[float | None, str]]) -> _Limits:
    made = [models.Threshold(value=value, color=colour) for value, colour in of]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


def _asking(panel: _Panel, title: str, about: str, *queries: prometheus.Dataquery) -> _Panel:
    targets: list[Any] = [
        one.ref_id(_letter(place)).datasource(SOURCE).editor_mode(formats.QueryEditorMode.CODE)
        for place, one in enumerate(queries)
    ]
    return panel.title(title).description(about).datasource(SOURCE).targets(targets)


_Number = TypeVar("_Number", BarGauge, Gauge, Stat)


def _newest(panel: _Number, limits: _Limits) -> _Number:
    """Each series' newest value, in the colour of the limit it has reached."""
    newest = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)  # noqa: FBT003
    colours = _colours(models.FieldColorModeId.THRESHOLDS)
    return panel.reduce_options(newest).color_scheme(colours).thresholds(limits)


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _sorting(label: str) -> models.DataTransformerConfig:
    options = {"fields": {}, "sort": [{"field": label, "desc": False}]}
    return models.DataTransformerConfig(id_val="sortBy", options=options)


def _matrix(rows_of: str, colours_of: str) -> models.DataTransformerConfig:
    options = {
        "rowField": rows_of,
        "columnField": colours_of,
        "valueField": "Value",
        "emptyValue": "null",
    }
    return models.DataTransformerConfig(id_val="groupingToMatrix", options=options)


def _organize(
    order: Sequence[str], renamed: Mapping[str, str] | None = None
) -> models.DataTransformerConfig:
    options = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate(order)},
        "renameByName": renamed or {},
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
