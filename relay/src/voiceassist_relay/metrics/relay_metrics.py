"""The relay's metrics: constructed once, injected, written to by verbs. All names begin with `voiceassist_relay_`.

Label sets are closed (`metric_labels`); a call SID is never a label. Series of closed lists are there as 0 from the start, so
that a rate sees the very first event. A prompt revision or a model is a label only while it is in use: at most four at a time,
further ones are counted as `other`, and the series of one that is no longer used are removed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from voiceassist_crds.reasons import Refusal

from ..interfaces import TurnTiming
from . import labels as closed
from .exposition import pieces
from .labels import MAX_MODELS, MAX_REVISIONS, OTHER, Values, alone
from .revision_counts import CallCounts, RevisionCounts

__all__ = ["MAX_REVISIONS", "PREFIX", "CallMetrics", "RelayMetrics"]

PREFIX = "voiceassist_relay_"

# Buckets, in seconds. Each is a series for every stage, revision or outcome: few, and close together where the objectives are.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}")
_LATENCY = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
_FIRST_WORDS = (0.35, 0.5, 0.7, 1.0, 1.5, 3.0)
_STAGE = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_WRITE = (0.25, 1.0, 5.0)
_FORWARD = (0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1)
_MOVE = (1.0, 2.0, 5.0, 10.0, 30.0)
_RESTART = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_GAP = (0.0, 0.1, 0.5, 2.0, 5.0)
_LOOP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class ClosedCounter:
    """A counter whose series are all there from the start; what is not in its list is counted as one further series, `other`."""

    def __init__(self, counter: Counter, values: Values) -> None:
        self._children = {one: counter.labels(*one) for one in values}
        self._other = (OTHER,) * len(values[0])
        self._counter = counter

    def inc(self, *values: str, count: int = 1) -> None:
        """Counts events under the values of the labels."""
        child = self._children.get(values)
        if child is None:  # nothing of ours does so; a test reads the code for it
            child = self._counter.labels(*self._other)
        child.inc(count)


class RelayMetrics:
    """Every metric of one relay process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.revisions = RevisionCounts(time.time)
        """What the prompts of a roll-out came to."""
        self._revisions: set[str] = set()
        self._models: set[str] = set()
        self._in_place: set[str] = set()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        def listed(name: str, text: str, values: Values, *labels: str) -> ClosedCounter:
            return ClosedCounter(counter(name, text, *labels), values)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
            return Histogram(PREFIX + name, text, labels, buckets=tuple(buckets), registry=registry)

        self._stage = histogram(
            "stage_duration_seconds", "Time of one stage between the customer's last syllable and the agent's screen.", _STAGE, "stage"
        )
        self._latency = histogram(
            "suggestion_latency_seconds", "Customer stopped speaking (estimated) until Sync accepted the suggestion.", _LATENCY, "revision"
        )
        self._first_words = histogram(
            "first_words_seconds", "Customer stopped speaking (estimated) until Sync accepted the first words of the answer.", _FIRST_WORDS
        )
        self._early = listed(
            "early_responses_total", "Responses asked for ahead of a turn's end, by what became of them.", alone(closed.EARLY), "outcome"
        )
        self._early_wasted = counter("early_wasted_tokens_total", "Tokens of responses ahead of a turn's end that came to nothing.")
        self._turns = counter("turns_total", "Customer turns by what became of them.", "revision", "outcome")
        self._forward = histogram("frame_forward_seconds", "A media frame from socket to socket (one in 50 is timed).", _FORWARD)
        self.active_calls = gauge("active_calls", "Calls bridged now.")
        self.max_calls = gauge("max_calls", "Calls that this relay takes at once.")
        self.tasks = gauge("tasks", "Tasks of the process's event loop: as many as before once its calls are over.")
        self.draining = gauge("draining", "1 while the relay finishes its calls before it ends.")
        self._frames = listed("frames_total", "Audio frames by track and what became of them.", closed.FRAMES, "track", "outcome")
        self._drops = listed("queue_drops_total", "Entries dropped from a full queue, by that queue's rule.", alone(closed.QUEUES), "queue")
        self._loop_delay = histogram("event_loop_delay_seconds", "How late a timer of 100 ms fires, but for pauses on purpose.", _LOOP)
        self._paused = counter(
            "event_loop_paused_seconds_total", "Pauses on purpose while busy, so that one look at the sockets finds many frames."
        )
        self._upgrades = listed("upgrades_total", "Websocket upgrades and streams by outcome.", alone(closed.UPGRADES), "outcome")
        self._http = listed(
            "http_requests_total", "Requests to the public functions, by class of the status (2xx).", closed.HTTP, "path", "status"
        )
        self._http_refused = listed(
            "http_refused_total", "Connections and requests turned away by the server's bounds.", alone(closed.HTTP_REFUSED), "reason"
        )
        self._lost = listed("streams_lost_total", "Streams that ended other than by `stop`.", alone(closed.STREAM_ENDS), "reason")
        self._restarts = listed("stream_restarts_total", "Streams started again after one died.", alone(closed.RESTARTS), "outcome")
        self.moving_calls = gauge("moving_calls", "Calls that are being moved to another relay now.")
        self.nowhere_to_move = gauge("nowhere_to_move", "1 while this relay ends and no other one has a place for its calls.")
        self._moves = listed("moves_total", "Attempts to move a call to another relay.", alone(closed.MOVES), "outcome")
        self._move = histogram("move_seconds", "From the decision to move a call until another relay had it.", _MOVE)
        self._move_gap = histogram(
            "move_gap_seconds", "Audio of the customer that no relay heard while a call was moved; told by the relay that took it.", _GAP
        )
        self._restart_gap = histogram(
            "restart_gap_seconds",
            "From when a call whose stream or relay was lost was last known to be heard until it is again.",
            _RESTART,
        )
        self._reconnects = listed("realtime_reconnects_total", "Model sessions replaced.", alone(closed.RECONNECTS), "reason")
        self._model_errors = listed(
            "realtime_errors_total", "Errors that the model's server reported, by their code or class.", alone(closed.MODEL_ERRORS), "code"
        )
        self._unknown = listed("unknown_messages_total", "Events ignored because they are not known, by peer.", alone(closed.PEERS), "peer")
        self._other_version = listed(
            "other_version_total",
            "What another version wrote and this one does not know, or writes otherwise: passed over, kept, or left alone.",
            alone(closed.OTHER_VERSION),
            "what",
        )
        self._foreign = listed(
            "foreign_objects_total",
            "Objects of calls in Sync that somebody else had made before us: replaced.",
            alone(closed.FOREIGN_OBJECTS),
            "kind",
        )
        self._over_limit = counter("starts_over_limit_total", "Starts refused as all relays together have as many calls as there may be.")
        self._gaps = listed("media_gaps_total", "Gaps in a stream's sequence numbers or timestamps.", alone(closed.GAPS), "kind")
        self._tokens = counter("tokens_total", "Tokens used at the model.", "model", "modality", "direction", "cached")
        self._publish = histogram("sync_publish_seconds", "Writes to Sync, retries included.", _WRITE, "outcome")
        self._twilio = listed("twilio_requests_total", "REST requests to Twilio, by product.", closed.TWILIO, "product", "outcome")
        self._feedback = counter("feedback_total", "Agents' verdicts on suggestions; a changed one under both.", "revision", "verdict")
        self._feedback_replaced = counter(
            "feedback_replaced_total", "Verdicts that stand no more, because their agent gave another.", "revision", "verdict"
        )
        self._feedback_reasons = listed(
            "feedback_reasons_total", "Why agents found suggestions not helpful.", alone(closed.FEEDBACK_REASONS), "reason"
        )
        self._feedback_reasons_replaced = listed(
            "feedback_reasons_replaced_total",
            "Reasons that stand no more, because their agent gave another, or another verdict.",
            alone(closed.FEEDBACK_REASONS),
            "reason",
        )
        self._painted = histogram(
            "suggestion_painted_seconds",
            "Customer stopped speaking (estimated) until the agent's browser painted the suggestion, for a sample of them.",
            _LATENCY,
        )
        self._config_info = gauge("config_info", "1 for the configuration revision in force.", "revision")
        self._config_refused = counter("config_refused_total", "Configuration files refused; the old one stayed.")
        self._peer_up = gauge("peer_up", "1 while the model or Sync is well.", "peer")
        self.unreached_relays = gauge("unreached_relays", "Other relays that do not answer this one on their private port.")
        self._config_revision = ""
        self._owner: dict[str, str] = {}
        for stage in closed.STAGES:
            self._stage.labels(stage)
        for outcome in closed.PUBLISHED:
            self._publish.labels(outcome)

    def belongs_to(self, namespace: str, name: str) -> None:
        """Whose relay this is: every series bears the namespace and the name of its VoiceAssist, however it is scraped."""
        self._owner = {"namespace": namespace, "name": name}

    def render(self) -> bytes:
        """The exposition in Prometheus's text format."""
        return "".join(self.pieces()).encode()

    def pieces(self) -> Iterator[str]:
        """The same, line by line."""
        return pieces(self.registry, self._owner)

    # revisions and models as labels

    def use_revisions(self, revisions: Iterable[str]) -> None:
        """Sets the prompt revisions in use, the most important first; series of the others are removed."""
        keep = _kept(revisions, self._revisions, MAX_REVISIONS)
        for metric in (self._latency, self._turns, self._feedback, self._feedback_replaced):
            _remove(metric, self._revisions - keep)
        for revision in keep - self._revisions:
            self._latency.labels(revision)
            for outcome in closed.TURNS:
                self._turns.labels(revision, outcome)
            for verdict in closed.VERDICTS:
                self._feedback.labels(revision, verdict)
                self._feedback_replaced.labels(revision, verdict)
        self._revisions = keep

    def use_models(self, models: Iterable[str]) -> None:
        """Sets the models in use, the most important first; series of the others are removed."""
        keep = _kept(models, self._models - self._in_place, MAX_MODELS)
        self._in_place = set(sorted(self._in_place - keep)[: MAX_MODELS - len(keep)])
        keep |= self._in_place
        _remove(self._tokens, self._models - keep)
        for model in keep - self._models:
            for kind in closed.TOKENS:
                self._tokens.labels(model, *kind)
        self._models = keep

    def model_in_place(self, model: str) -> None:
        """A server says that this model ran in place of the configured one: it has series of its own while there is room for them."""
        if model not in self._models and len(self._models) < MAX_MODELS and _MODEL.fullmatch(model):
            before = self._models - self._in_place
            self._in_place.add(model)
            self.use_models(before)

    def _revision(self, revision: str) -> str:
        return revision if revision in self._revisions else OTHER

    def config_in_force(self, revision: str) -> None:
        """A configuration took effect."""
        if self._config_revision:
            self._config_info.remove(self._config_revision)
        self._config_revision = revision
        self._config_info.labels(revision).set(1)

    def config_refused(self) -> None:
        """A new configuration file was refused."""
        self._config_refused.inc()

    # turns

    def turn(self, outcome: str, revision: str, timing: TurnTiming) -> None:
        """A turn was handled: its outcome and the stages that were seen."""
        labels = (self._revision(revision), outcome) if outcome in closed.TURNS else (OTHER, OTHER)
        self._turns.labels(*labels).inc()
        asked = (
            timing.committed if timing.requested is None else min(timing.requested, timing.committed)
        )  # ahead of the turn's end, or at it
        moments = (
            ("endpointing", timing.stopped_speaking, asked),
            ("request", asked, timing.created),
            ("first_token", timing.created, timing.first_delta),
            ("generation", timing.first_delta, timing.finished),
        )
        for stage, begin, end in moments:
            if begin is not None and end is not None:
                self._stage.labels(stage).observe(max(0.0, end - begin))

    def suggestion_published(self, revision: str, timing: TurnTiming, accepted: float) -> None:
        """Sync accepted a suggestion at loop time `accepted`."""
        if timing.finished is not None:
            self._stage.labels("publish").observe(max(0.0, accepted - timing.finished))
        if timing.stopped_speaking is not None:
            seconds = max(0.0, accepted - timing.stopped_speaking)
            self._latency.labels(self._revision(revision)).observe(seconds)

    def first_words(self, seconds: float) -> None:
        """Sync accepted the first words of an answer, so many seconds after the customer stopped speaking."""
        self._first_words.observe(max(0.0, seconds))

    def early_over(self, outcome: str) -> None:
        """A response ahead of a turn's end was used, wasted or refused."""
        self._early.inc(outcome)

    def early_wasted(self, tokens: int) -> None:
        """So many tokens went to a response ahead of a turn's end that came to nothing."""
        self._early_wasted.inc(tokens)

    # audio

    def frames(self, track: str, outcome: str, count: int = 1) -> None:
        """Counts frames: track customer or agent; outcome forwarded, filled, replayed, paused, dropped, unused, duplicate,
        malformed, overlap (the other stream's relay counts it in)."""
        self._frames.inc(track, outcome, count=count)

    def frame_forwarded(self, seconds: float) -> None:
        """A sampled frame's way from socket to socket."""
        self._forward.observe(seconds)

    def dropped(self, queue: str, count: int = 1) -> None:
        """Entries dropped from a full queue."""
        self._drops.inc(queue, count=count)

    def gap(self, kind: str, count: int = 1) -> None:
        """A gap in a stream: sequence (counted by messages lost) or timestamp (counted by holes)."""
        self._gaps.inc(kind, count=count)

    def unknown(self, peer: str) -> None:
        """An event of a kind that is not known: peer twilio or model."""
        self._unknown.inc(peer)

    def other_version(self, what: str, count: int = 1) -> None:
        """Something of another version was met: what config_field, document_field, document_mark, document_state, peer_proof or
        request_field."""
        self._other_version.inc(what, count=count)

    def start_over_limit(self) -> None:
        """A start was refused: there are as many calls as there may be."""
        self._over_limit.inc()

    def foreign_object(self, kind: str) -> None:
        """An object of a call that somebody else had made: kind document, map or stream."""
        self._foreign.inc(kind)

    # connections

    def upgrade(self, outcome: Refusal) -> None:
        """An upgrade or a stream was accepted or refused."""
        self._upgrades.inc(outcome.value)

    def stream_lost(self, reason: str) -> None:
        """A stream ended other than by `stop`.

        Reasons: socket, idle, closed, model, superseded, replaced, drain, error, protocol; relay (its owner is gone).
        """
        self._lost.inc(reason)

    def stream_restarted(self, outcome: str) -> None:
        """A stream that died and was wanted: started, refused, given_up, call_over."""
        self._restarts.inc(outcome)

    def call_moved(self, outcome: str, seconds: float) -> None:
        """An attempt to move a call ended: moved, moved_with_gap, never_came, refused, ended, failed."""
        self._moves.inc(outcome)
        if outcome in {"moved", "moved_with_gap"}:
            self._move.observe(seconds)

    def move_gap(self, seconds: float) -> None:
        """A call was taken over; so much of the customer's audio was heard by nobody."""
        self._move_gap.observe(seconds)

    def restart_gap(self, seconds: float) -> None:
        """A stream that was started again has begun; so long nobody heard the call."""
        self._restart_gap.observe(seconds)

    def reconnected(self, reason: str) -> None:
        """A model session was replaced: closed, stalled, expiring, error, configuration."""
        self._reconnects.inc(reason)

    def model_error(self, code: str) -> None:
        """An error that the model's server reported; codes that we do not know are counted as other."""
        self._model_errors.inc(code)

    def tokens(self, model: str, modality: str, direction: str, cached: bool, count: int) -> None:
        """Tokens of one response: modality text or audio, direction input or output."""
        if count:
            kind = (modality, direction, "true" if cached else "false")
            known = kind in closed.TOKENS
            self._tokens.labels(*((model if model in self._models else OTHER, *kind) if known else (OTHER,) * 4)).inc(count)

    def http(self, path: str, status: int) -> None:
        """A request to a public function was answered."""
        self._http.inc(path, f"{status // 100}xx")

    def http_refused(self, reason: str) -> None:
        """A connection or request was turned away by the server's bounds: connections, head_too_big, head_timeout, and so on."""
        self._http_refused.inc(reason)

    # Twilio

    def published(self, outcome: str, seconds: float) -> None:
        """A write to Sync ended: ok, retried, refused, given_up."""
        self._publish.labels(outcome if outcome in closed.PUBLISHED else OTHER).observe(seconds)

    def twilio_request(self, product: str, outcome: str) -> None:
        """A REST request to a product of Twilio's (api, sync, iam, taskrouter, flex-api): ok, refused, busy, unclear."""
        self._twilio.inc(product, outcome)

    def feedback(self, revision: str, verdict: str, *, instead_of: str = "", call: str = "") -> None:
        """An agent's verdict: up, down, or edited (changed and used); `instead_of` the one that was given before in this call."""
        self._feedback.labels(*self._verdict(revision, verdict)).inc()
        if instead_of:
            self._feedback_replaced.labels(*self._verdict(revision, instead_of)).inc()
        self.revisions.verdict(revision, verdict, instead_of, call)

    def _verdict(self, revision: str, verdict: str) -> tuple[str, str]:
        return (self._revision(revision), verdict) if verdict in closed.VERDICTS else (OTHER, OTHER)

    def feedback_reason(self, reason: str, *, instead_of: str = "") -> None:
        """Why a suggestion was not helpful: wrong, not_relevant, too_late, too_long, other; empty: there is no reason any more."""
        if reason:
            self._feedback_reasons.inc(reason)
        if instead_of:
            self._feedback_reasons_replaced.inc(instead_of)

    def suggestion_painted(self, seconds: float) -> None:
        """An agent's browser painted a suggestion so many seconds after the customer had stopped speaking."""
        self._painted.observe(seconds)

    # process

    def loop_delay(self, seconds: float) -> None:
        """How late a timer fired."""
        self._loop_delay.observe(seconds)

    def paused(self, seconds: float) -> None:
        """The event loop let frames gather."""
        self._paused.inc(seconds)

    def peer(self, peer: str, up: bool) -> None:
        """The state of the model or of Sync."""
        self._peer_up.labels(peer).set(1 if up else 0)


class CallMetrics(RelayMetrics):
    """The relay's metrics as one call's parts write them: counted on, and summed for the call's last log line.

    It has no metrics of its own: all that it does not sum is the shared ones'.
    """

    def __init__(self, shared: RelayMetrics) -> None:
        self._shared = shared
        self._frame_sums: dict[str, dict[str, int]] = {}
        self._sums: dict[str, dict[str, int]] = {}
        self.counts = CallCounts(shared.revisions)
        """The call's share of what the prompts of a roll-out came to."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def frames(self, track: str, outcome: str, count: int = 1) -> None:
        """As `RelayMetrics.frames`."""
        _add(self._frame_sums.setdefault(str(track), {}), outcome, count)
        self._shared.frames(track, outcome, count)

    def suggestion_published(self, revision: str, timing: TurnTiming, accepted: float) -> None:
        """As `RelayMetrics.suggestion_published`."""
        self._shared.suggestion_published(revision, timing, accepted)
        if timing.stopped_speaking is not None:
            self.counts.answered(revision, max(0.0, accepted - timing.stopped_speaking))

    def dropped(self, queue: str, count: int = 1) -> None:
        """As `RelayMetrics.dropped`."""
        _add(self._sums.setdefault("drops", {}), queue, count)
        self._shared.dropped(queue, count)

    def tokens(self, model: str, modality: str, direction: str, cached: bool, count: int) -> None:
        """As `RelayMetrics.tokens`."""
        if count:
            _add(self._sums.setdefault("tokens", {}), f"{modality}_{direction}{'_cached' if cached else ''}", count)
        self._shared.tokens(model, modality, direction, cached, count)

    def model_in_place(self, model: str) -> None:
        """As `RelayMetrics.model_in_place`."""
        self._shared.model_in_place(model)

    def reconnected(self, reason: str) -> None:
        """As `RelayMetrics.reconnected`."""
        _add(self._sums.setdefault("reconnects", {}), reason, 1)
        self._shared.reconnected(reason)

    def model_error(self, code: str) -> None:
        """As `RelayMetrics.model_error`."""
        _add(self._sums.setdefault("model_errors", {}), code, 1)
        self._shared.model_error(code)

    def published(self, outcome: str, seconds: float) -> None:
        """As `RelayMetrics.published`."""
        _add(self._sums.setdefault("sync_writes", {}), outcome, 1)
        self._shared.published(outcome, seconds)

    def summary(self) -> dict[str, dict[str, Any]]:
        """The call's own sums: frames by track and outcome; drops, tokens, reconnects, model_errors and sync_writes by kind."""
        kinds = ("drops", "tokens", "reconnects", "model_errors", "sync_writes")
        return {"frames": self._frame_sums, **{kind: self._sums.get(kind, {}) for kind in kinds}}


def _add(sums: dict[str, int], key: str, count: int) -> None:
    sums[key] = sums.get(key, 0) + count


def _kept(wanted: Iterable[str], before: set[str], most: int) -> set[str]:
    """Which of the wanted have series of their own: those that had them already go first, then as many as there is room for."""
    ordered = list(dict.fromkeys(wanted))
    return set([*(one for one in ordered if one in before), *(one for one in ordered if one not in before)][:most])


def _remove(metric: Counter | Histogram, gone: set[str]) -> None:
    """Removes the series whose first label is one of these."""
    for labels in [labels for labels in list(metric._metrics) if labels[0] in gone]:
        metric.remove(*labels)
