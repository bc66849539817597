"""The public functions as routes: who asks, what is asked, and who carries it out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from voiceassist_crds.config import Checks
from voiceassist_crds.names import CALLBACK_PATH, FEEDBACK_PATH, STREAM_PATH, TOKEN_PATH, stream_name

from ..call.access import LOCAL_PERSON, Access, access_for_start, left_alone, watched
from ..call.control import StreamControl
from ..call.dependencies import FunctionDependencies
from ..call.gone_relays import OtherRelays
from ..call.moves import CallMoves
from ..call.peer_relays import PeerRelays
from ..call.recovery import StreamCallbacks, read_event
from ..call.relay_watch import RelayWatch
from ..call.start import Started, StreamStarter
from ..errors import RequestRefused, TwilioError, UnknownCallState
from ..rate_limits import RateTable
from ..sync.agent_status import AgentStatus
from ..sync.call_documents import CallDocuments, DocumentStore
from ..twilio.access_tokens import mint_sync_token
from ..twilio.call_streams import TwilioStreams
from ..twilio.error_answers import from_twilio
from ..twilio.flex_tokens import FlexTokens
from ..twilio.person import Person
from ..twilio.signatures import verify_callback
from ..twilio.taskrouter import Assignments
from .endpoints import EVERY_METHOD, dispatch, endpoint, read_body
from .feedback import Feedback
from .requests import Action, F, FeedbackFields, Raw, StreamFields, TokenFields, parse, read_fields, read_form, take_token

_STATE = "The call's state could not be read or written"


class Functions:
    """`/stream`, `/token`, `/callbacks/stream` and `/feedback` of one relay."""

    def __init__(self, deps: FunctionDependencies) -> None:
        self._deps = deps
        timing, peers = deps.timing, PeerRelays(deps)
        store = DocumentStore(deps.sync, deps.sync_ttl, deps.metrics)
        documents = CallDocuments(store, timing.ask)
        streams = TwilioStreams(deps.rest, deps.current, deps.now, timing.ask, stop_seconds=timing.stop_seconds)
        status = AgentStatus(deps.sync, deps.current, deps.now, timing.follow)
        self._documents = documents
        self._tokens = FlexTokens(deps.rest, deps.current, deps.now, timing.ask, deps.monotonic)
        self._assignments = Assignments(deps.rest, deps.current, deps.now, timing.ask, joining_seconds=timing.joining_seconds)
        self._starts = StreamStarter(deps, documents, streams, status, peers, self._assignments)
        self._controls = StreamControl(deps, documents, streams, status, peers, self._starts)
        patient = CallDocuments(store, timing.follow)  # nobody waits for the answer to a callback
        self._callbacks = StreamCallbacks(deps, patient, streams, status, peers, self._starts, self._suspect)
        self._feedback = Feedback(deps, documents)
        self.moves = CallMoves(deps, patient, streams, peers)
        self.others = OtherRelays(deps.address)
        self.watch = RelayWatch(deps, self.others, peers, self._callbacks)
        self._stream_rate = RateTable(timing.stream_rate)
        self._feedback_rate = RateTable(timing.feedback_rate)

    def _suspect(self, owner: str) -> None:
        self.watch.suspect(owner)

    def router(self) -> APIRouter:
        """The routes. The path prefix is that of the configuration in force at each request."""
        deps, router = self._deps, APIRouter()
        endpoints = {
            STREAM_PATH: endpoint(deps, STREAM_PATH, {"POST": self.stream}, for_browsers=True),
            TOKEN_PATH: endpoint(deps, TOKEN_PATH, {"GET": self.token, "POST": self.token}, for_browsers=True),
            FEEDBACK_PATH: endpoint(deps, FEEDBACK_PATH, {"POST": self.feedback}, for_browsers=True),
            CALLBACK_PATH: endpoint(deps, CALLBACK_PATH, {"POST": self.stream_callback}, for_browsers=False),
        }
        serve = dispatch(deps, endpoints)
        for path in endpoints:
            # With a slash at the end too: the framework would redirect those, to an address that it takes from the request.
            for pattern in (path, path + "/", "/{prefix:path}" + path, "/{prefix:path}" + path + "/"):
                router.add_api_route(pattern, serve, methods=EVERY_METHOD, include_in_schema=False, response_model=None)
        return router

    async def stream(self, request: Request) -> Response:
        """POST /stream."""
        raw = await self._raw(request)
        fields = self._parse(StreamFields, raw)
        person = await self._person(raw)
        self._check_rate(self._stream_rate, person)
        try:
            match fields.action:
                case Action.START:
                    return JSONResponse((await self._start(fields, person)).as_json())
                case Action.STOP:
                    return JSONResponse(await self._controls.stop(fields.call_sid, person))
                case Action.PAUSE | Action.RESUME:
                    paused = fields.action is Action.PAUSE
                    return JSONResponse(await self._controls.set_paused(fields.call_sid, person, paused))
        except TwilioError as error:
            raise from_twilio(error, self._deps.current().secrets, _STATE) from error
        except UnknownCallState as error:
            raise left_alone(fields.action.value, error.state) from error

    async def token(self, request: Request) -> Response:
        """GET and POST /token."""
        raw = await self._raw(request)
        self._parse(TokenFields, raw)
        person = await self._person(raw)
        self._check_rate(self._stream_rate, person)
        return JSONResponse(mint_sync_token(self._deps.current(), person.identity, self._deps.now()))

    async def feedback(self, request: Request) -> Response:
        """POST /feedback: an agent's verdict on a suggestion, or that it was painted."""
        raw = await self._raw(request)
        fields = self._parse(FeedbackFields, raw)
        person = await self._person(raw)
        self._check_rate(self._feedback_rate, person)
        try:
            await self._feedback.take(fields, person)
        except TwilioError as error:
            raise from_twilio(error, self._deps.current().secrets, "The verdict was not counted") from error
        return JSONResponse({"accepted": True})

    async def stream_callback(self, request: Request) -> Response:
        """POST /callbacks/stream, from Twilio. Raises RequestRefused."""
        fields = read_form(await read_body(request))
        snapshot = self._deps.current()
        if snapshot.config.checks is Checks.ALL:
            header = request.headers.get("x-twilio-signature", "")
            url = snapshot.config.public_url(CALLBACK_PATH)
            if request.url.query or not verify_callback(snapshot.secrets.auth_tokens, url, fields, header):
                raise RequestRefused(
                    403,
                    "signature",
                    "X-Twilio-Signature: it is not Twilio's for this address and form.",
                    "Check host, pathPrefix and auth token.",
                )
        if not self._callbacks.accept(read_event(dict(fields)), request.headers.get("i-twilio-idempotency-token", "")):
            raise RequestRefused(503, "busy", "Too many callbacks are being worked on.", "Try again.", retry_after=1.0)
        return Response(status_code=204)

    def stream_cut(self, call_sid: str, generation: int) -> bool:
        """A live stream's socket was lost here: has it started again. False when there is too much to do."""
        return self._callbacks.cut(call_sid, stream_name(call_sid, generation))

    async def aclose(self) -> None:
        """Gives up token validations that are under way; the background work is its owner's to end."""
        await self._tokens.aclose()

    async def _start(self, fields: StreamFields, person: Person) -> Started:
        task_sid = fields.task_sid
        if self._checked:
            holding = await self._assignments.holding(person, task_sid, fields.call_sid)
            if access_for_start(person, holding.standing) is Access.WATCH:
                seen = await self._documents.read(fields.call_sid)
                return await self._starts.watch(fields.call_sid, watched(seen.document if seen else None), person)
            task_sid = holding.task_sid
        return await self._starts.start(fields.call_sid, task_sid or "", person)

    @property
    def _checked(self) -> bool:
        return self._deps.current().config.checks is Checks.ALL

    def _parse(self, model: type[F], raw: Raw) -> F:
        fields, passed_over = parse(model, raw.fields)
        if passed_over:
            self._deps.metrics.other_version("request_field", passed_over)
        return fields

    async def _raw(self, request: Request) -> Raw:
        fields = read_fields(request.headers.get("content-type", ""), await read_body(request))
        return take_token(fields, request.headers.get("authorization", ""))

    async def _person(self, raw: Raw) -> Person:
        if not self._checked:
            return LOCAL_PERSON
        if not raw.token:
            raise RequestRefused(
                401,
                "token_missing",
                "Token: missing; it is required",
                "Send the Flex token as Token in the body or in the header `Authorization: Bearer ...`.",
            )
        return await self._tokens.person(raw.token)

    def _check_rate(self, table: RateTable, person: Person) -> None:
        if not self._checked:
            return
        wait = table.wait(person.identity, self._deps.monotonic())
        if wait > 0:
            raise RequestRefused(429, "rate", "Too many requests of this worker.", "Wait a moment.", retry_after=wait)
