"""Boards as Grafana's JSON, by Grafana's own builders. Pure."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from .board import Board, Kind, Panel, Query, Row

TAG = "voiceassist"
HEIGHT = 8
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_VARIABLE = 'label_values({__name__=~"voiceassist_relay_max_calls|voiceassist_operator_condition"%s}, %s)'


def to_json(board: Board) -> str:
    """The dashboard's JSON, the same for the same board."""
    return JSONEncoder(sort_keys=True, indent=2).encode(_dashboard(board).build()) + "\n"


def _dashboard(board: Board) -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("namespace", "Namespace", ""))
        .with_variable(_variable("name", "VoiceAssist", ', namespace=~"$namespace"'))
        .link(
            dashboard.DashboardLink("VoiceAssist")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for row in board.rows:
        _add(built, row)
    return built


def _add(built: dashboard.Dashboard, row: Row) -> None:
    built.with_row(dashboard.Row(row.title))
    for panel in row.panels:
        built.with_panel(_panel(panel))


def _variable(name: str, label: str, among: str) -> dashboard.QueryVariable:
    query: dict[str, object] = {"query": _VARIABLE % (among, name), "refId": name}
    everything = models.VariableOption(text="All", value="$__all")
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(query)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> Any:
    match panel.kind:
        case Kind.NUMBER:
            built: Any = stat.Panel()
        case Kind.TABLE:
            built = table.Panel()
        case _:
            legend = (
                common.VizLegendOptions()
                .display_mode(common_models.LegendDisplayMode.LIST)
                .placement(common_models.LegendPlacement.BOTTOM)
                .show_legend(True)
            )
            built = timeseries.Panel().fill_opacity(10).line_width(1).show_points(common_models.VisibilityMode.NEVER).legend(legend)
            if panel.kind is Kind.STACKED:
                built = built.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(40)
    built = built.title(panel.title).description(panel.about).unit(panel.unit.value).datasource(_SOURCE).span(panel.width).height(HEIGHT)
    if panel.kind is not Kind.TABLE:
        built = built.min(0)
    if panel.steps:
        steps = [models.Threshold(value=None if number == 0 else value, color=colour) for number, (value, colour) in enumerate(panel.steps)]
        built = built.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    for number, query in enumerate(panel.queries):
        built = built.with_target(_target(query, chr(ord("A") + number), table=panel.kind is Kind.TABLE))
    return built


def _target(query: Query, ref: str, *, table: bool) -> prometheus.Dataquery:
    built = prometheus.Dataquery().expr(query.promql).legend_format(query.legend).ref_id(ref).datasource(_SOURCE)
    return built.instant().format("table") if table else built.range()  # type: ignore[arg-type]
