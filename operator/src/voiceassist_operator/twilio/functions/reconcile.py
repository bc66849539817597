"""Keeps a VoiceAssist's functions as described: looks at what Twilio has, takes the next steps, and says what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from voiceassist_crds.reasons import Reason

from ...errors import OperatorError
from ..client import TwilioClient
from ..model.errors import TwilioRefused
from ..model.functions import FunctionsDesired, FunctionsMode, FunctionsOutcome, FunctionsRecord
from ..model.refusals import Refusal
from .api import ServerlessAccount
from .observed import CreateBuild, CreateService, Deploy, ServerlessFacts, SetVariable, Variable
from .plan import ENVIRONMENT, RETRY_SECONDS, Left, Plan, State, desired_variables, plan_serverless, plan_variables, unique_name
from .source import sources

ROUNDS = 20
"""More than there are steps that need each other; more would be somebody else changing things all the time."""
_LOOK_AGAIN = frozenset({Refusal.TAKEN, Refusal.NOT_FOUND})
"""Refusals that come of an outdated view: somebody, or an answer that was lost, was faster."""


class FunctionsReconciler:
    """One VoiceAssist's functions. It is kept between looks and knows what it saw last, so that a poll is one request."""

    def __init__(self) -> None:
        self._facts: ServerlessFacts | None = None
        self._variables: dict[str, dict[str, str]] = {}
        """How we left the variables, by environment."""
        self._searched = False
        """Whether a service that we made and that is recorded nowhere was looked for."""
        self._refused = 0
        """Builds in a row that Twilio did not even begin."""
        self._refusal: tuple[float, str] | None = None
        """Of the last of them: epoch seconds before which no other one is asked for, and the message."""
        self._drift: list[str] = []
        self._record = FunctionsRecord()

    async def reconcile(self, account: TwilioClient, desired: FunctionsDesired, record: FunctionsRecord, now: float) -> FunctionsOutcome:
        """Looks, and takes all steps that can be taken now.

        `account` is this object's access to Twilio, `record` what `status.functions` says, `now` epoch seconds.
        Raises nothing of the client's: errors are in the outcome, with what was done before them.
        """
        if record.right:
            at = record.environment_sid if desired.mode is FunctionsMode.SERVERLESS else desired.existing_environment_sid
            self._variables.setdefault(at, {"STREAM_URL": desired.stream_url})  # the Sync service may be another one by now
        self._drift, self._record = [], replace(record, right=False)
        serverless = ServerlessAccount(account)
        try:
            if desired.mode is FunctionsMode.SERVERLESS:
                outcome = await self._serverless(serverless, desired, now)
            elif desired.mode is FunctionsMode.EXISTING:
                outcome = await self._existing(serverless, desired)
            else:
                outcome = FunctionsOutcome(True, Reason.CONFIGURED, "served by the relays", desired.relay_url)
            if desired.mode is not FunctionsMode.SERVERLESS:
                self._facts = None
                outcome = await self._retire(serverless, desired, outcome, now)
        except OperatorError as error:
            self._facts = None  # whether the last step was taken is seen at the next look
            outcome = FunctionsOutcome(False, Reason.TWILIO_PENDING, str(error), None, error=error)
        return replace(outcome, drift=tuple(dict.fromkeys(self._drift)), record=self._record)

    async def remove(self, account: TwilioClient, uid: str, keep_sid: str = "") -> tuple[str, ...]:
        """Deletes what we made for an object that is deleted, with all in it. Returns what was deleted, one sentence each.

        Asking again is safe. Raises OperatorError. An environment that the user deployed is left as it is, and so is
        `keep_sid`, the service that the object itself names.
        """
        serverless = ServerlessAccount(account)
        service = await serverless.service(unique_name(uid))
        if service is None or service.sid == keep_sid:
            return ()
        await serverless.delete(service.sid)
        self._facts, self._record = None, FunctionsRecord()
        return (f"Functions service {service.sid}",)

    # Serverless

    async def _serverless(self, account: ServerlessAccount, desired: FunctionsDesired, now: float) -> FunctionsOutcome:
        self._searched = True
        self._record = replace(self._record, retire_at=None)
        facts = await self._look(account, desired)
        looked_again = False
        for _ in range(ROUNDS):
            plan = plan_serverless(desired, sources(), facts, self._left(), now)
            self._drift += plan.drift
            if not plan.steps:
                self._note(facts, desired, plan)
                return self._deployed(facts, plan)
            steps = plan.steps
            if self._refusal is not None and now < self._refusal[0]:
                steps = tuple(step for step in steps if not isinstance(step, CreateBuild))
                if not steps:
                    return self._wait_for_build(facts, desired, plan, now)
            for step in steps:
                try:
                    facts = self._facts = await account.take(step, facts)
                except TwilioRefused as error:
                    if isinstance(step, CreateBuild) and error.kind is Refusal.BAD_REQUEST:
                        return self._build_refused(facts, desired, plan, error, now)
                    if error.kind not in _LOOK_AGAIN or looked_again:
                        if isinstance(step, CreateService) and error.kind is Refusal.TAKEN:
                            return _name_taken(step, error)
                        raise
                    looked_again = True
                    facts = self._facts = await account.look(unique_name(desired.uid), ENVIRONMENT, _names())
                    break
                if isinstance(step, CreateBuild | Deploy):
                    self._refused, self._refusal = 0, None
                self._note(facts, desired, plan)
        text = f"somebody else keeps changing the Functions service {self._record.service_sid}; it is tried again"
        return FunctionsOutcome(False, Reason.FUNCTIONS_DEPLOYING, text, None, next_look=60.0)

    async def _look(self, account: ServerlessAccount, desired: FunctionsDesired) -> ServerlessFacts:
        """Looks at everything the first time and after an error; later polls a build that runs, or looks at what others can change."""
        facts = self._facts
        if facts is None:
            facts = await account.look(unique_name(desired.uid), ENVIRONMENT, _names())
        elif building := [one for one in facts.builds if one.status == "building"]:
            assert facts.service is not None  # noqa: S101 - it has builds
            polled = {one.sid: await account.poll(facts.service.sid, one) for one in building}
            facts = replace(facts, builds=tuple(polled.get(one.sid, one) for one in facts.builds))
        else:
            before, facts = facts, await account.glance(facts)
            moved = before.environment is not None and (
                facts.environment is None or facts.environment.build_sid != before.environment.build_sid
            )
            if moved:  # which builds and functions are there now?
                facts = await account.look(unique_name(desired.uid), ENVIRONMENT, _names())
        self._facts = facts
        return facts

    def _left(self) -> Left:
        record = self._record
        variables = self._variables.get(record.environment_sid, {})
        return Left(record.service_sid, record.environment_sid, record.build_sid, variables)

    def _note(self, facts: ServerlessFacts, desired: FunctionsDesired, plan: Plan) -> None:
        """Remembers what is there now."""
        service, environment = facts.service, facts.environment
        right = plan.build_sid if environment is not None and environment.build_sid == plan.build_sid else ""
        known = environment is not None and environment.build_sid == self._record.build_sid
        self._record = FunctionsRecord(
            service.sid if service is not None else "",
            environment.sid if environment is not None else "",
            right or (self._record.build_sid if known else ""),
        )
        values = desired_variables(desired)
        self._variables = {
            self._record.environment_sid: {one.key: one.value for one in facts.variables if values.get(one.key) == one.value}
        }

    def _deployed(self, facts: ServerlessFacts, plan: Plan) -> FunctionsOutcome:
        if plan.state is State.DONE and facts.environment is not None:
            return FunctionsOutcome(True, Reason.CONFIGURED, "deployed to Twilio", facts.environment.url)
        reason = Reason.FUNCTIONS_BUILD_FAILED if plan.state is State.FAILED else Reason.FUNCTIONS_DEPLOYING
        return FunctionsOutcome(False, reason, plan.message, None, next_look=plan.next_look)

    def _build_refused(
        self, facts: ServerlessFacts, desired: FunctionsDesired, plan: Plan, error: TwilioRefused, now: float
    ) -> FunctionsOutcome:
        wait = RETRY_SECONDS[min(self._refused, len(RETRY_SECONDS) - 1)]
        self._refused += 1
        when = datetime.fromtimestamp(now + wait, UTC).strftime("%Y-%m-%d %H:%M UTC")
        self._refusal = (now + wait, f"{error}; the next attempt is at {when}, and mode Relay works meanwhile")
        return self._wait_for_build(facts, desired, plan, now)

    def _wait_for_build(self, facts: ServerlessFacts, desired: FunctionsDesired, plan: Plan, now: float) -> FunctionsOutcome:
        """A refused build leaves no trace at Twilio: whatever makes us look again before its time, it is not asked for."""
        assert self._refusal is not None  # noqa: S101 - asked before
        again, text = self._refusal
        self._note(facts, desired, plan)
        return FunctionsOutcome(False, Reason.FUNCTIONS_BUILD_FAILED, text, None, next_look=max(1.0, again - now))

    # Existing

    async def _existing(self, account: ServerlessAccount, desired: FunctionsDesired) -> FunctionsOutcome:
        service, sid = desired.existing_service_sid, desired.existing_environment_sid
        environment = await account.environment(service, sid)
        variables = None if environment is None else await account.variables(service, sid)
        if environment is None or variables is None:
            if await account.service(service) is None:
                text = f"the account has no Functions service {service}; check twilio.functions.existing.serviceSid and twilio.accountSid"
            else:
                text = f"the Functions service {service} has no environment {sid}; check twilio.functions.existing.environmentSid"
            return FunctionsOutcome(False, Reason.FUNCTIONS_NOT_FOUND, f"{text}, or use mode Relay", None)
        self._drift += await self._put_variables(account, desired, service, sid, variables)
        if not environment.build_sid:
            text = f"nothing is deployed in the Functions environment {sid}; deploy functions/ to it, or use mode Relay"
            return FunctionsOutcome(False, Reason.FUNCTIONS_NOT_FOUND, text, None)
        return FunctionsOutcome(
            True, Reason.CONFIGURED, f"at the Functions environment {sid}; its variables are kept right", environment.url
        )

    async def _put_variables(
        self, account: ServerlessAccount, desired: FunctionsDesired, service: str, environment: str, seen: tuple[Variable, ...]
    ) -> list[str]:
        """Puts the variables of an environment right, and touches nothing else. Returns what was changed by hand."""
        steps, drift = plan_variables(desired_variables(desired), seen, self._variables.get(environment, {}))
        for step in steps:
            if isinstance(step, SetVariable):
                await account.set_variable(service, environment, step)
        self._variables[environment] = desired_variables(desired)
        return drift

    # what is not wanted any more

    async def _retire(
        self, account: ServerlessAccount, desired: FunctionsDesired, outcome: FunctionsOutcome, now: float
    ) -> FunctionsOutcome:
        """Deletes a service of ours that is no longer desired, once Flex has the new URL and browser tabs had time to hear of it."""
        record = self._record
        if not record.service_sid:
            if self._searched:
                return outcome
            found = await account.service(unique_name(desired.uid))  # made by an operator that did not live to record it
            if found is None:
                self._searched = True
                return outcome
            record = self._record = replace(record, service_sid=found.sid)
        self._searched = True
        if desired.mode is FunctionsMode.EXISTING and desired.existing_service_sid == record.service_sid:
            return outcome
        if record.retire_at is None:
            if outcome.functions_url is None or desired.url_in_flex not in {None, outcome.functions_url}:
                return outcome  # the plugin is still sent to the old ones
            record = self._record = replace(record, retire_at=now + desired.grace_seconds)
        assert record.retire_at is not None  # noqa: S101 - just set
        if now >= record.retire_at:
            await account.delete(record.service_sid)
            self._record = FunctionsRecord()
            return outcome
        if record.environment_sid and self._variables.get(record.environment_sid) != desired_variables(desired):
            seen = await account.variables(record.service_sid, record.environment_sid)
            if seen is not None:
                await self._put_variables(account, desired, record.service_sid, record.environment_sid, seen)
        when = datetime.fromtimestamp(record.retire_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = f"{outcome.message}; the Functions service {record.service_sid} goes on for open browser tabs until {when}"
        look = record.retire_at - now
        return replace(outcome, message=text, next_look=look if outcome.next_look is None else min(look, outcome.next_look))


def _names() -> frozenset[str]:
    return frozenset(source.name for source in sources())


def _name_taken(step: CreateService, error: TwilioRefused) -> FunctionsOutcome:
    text = f"{error}; delete the Functions service {step.unique_name}, or use mode Relay"
    return FunctionsOutcome(False, Reason.FUNCTIONS_NAME_TAKEN, text, None, next_look=300.0)
