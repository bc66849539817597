"""The next steps until the functions are deployed as described. Pure; from what the account has, whoever made it and whenever.

Nothing is remembered that Twilio does not show: the service is found by its UniqueName, which carries the object's uid; what a
function contains by its FriendlyName (`Source.name`); a build by the versions in it; whether a build failed, how often and when, by
the failed builds. So an unchanged function is never uploaded or built again, a deployment that was broken off is resumed, and what
has failed is not tried again at once. What is recorded besides serves only to tell a change by hand from one of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from ..model.functions import FunctionsDesired
from .observed import (
    Build,
    CreateBuild,
    CreateEnvironment,
    CreateFunction,
    CreateService,
    DeleteBuild,
    DeleteFunction,
    Deploy,
    Function,
    ServerlessFacts,
    SetVariable,
    Step,
    UpdateService,
    Upload,
    Variable,
    Version,
)
from .source import NAME_PREFIX, Source

ENVIRONMENT = "voiceassist"
"""UniqueName of the environment. It has no domain suffix, so one that is made again has the same address."""
HANG_SECONDS = 600.0
"""A build that takes longer has failed. Twilio's own toolkit gives up after 300."""
RETRY_SECONDS = (300.0, 900.0, 3600.0, 6 * 3600.0)
"""After so many failed builds of the same versions: when the next one is tried, counted from the last."""
FAILED_KEPT = len(RETRY_SECONDS)
SHOWN = 100


class State(StrEnum):
    """How far it is."""

    DONE = "done"
    STEPS = "steps"
    """There are steps to be taken now."""
    BUILDING = "building"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Left:
    """How we left things, as far as is known: what differs from it was changed by hand."""

    service_sid: str = ""
    environment_sid: str = ""
    build_sid: str = ""
    """The build that we deployed."""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next."""

    state: State
    steps: tuple[Step, ...] = ()
    drift: tuple[str, ...] = ()
    """What was not as we had left it; with the steps that put it right."""
    message: str = ""
    next_look: float | None = None
    """Seconds, while a build is waited for or tried again."""
    build_sid: str = ""
    """The right build that is deployed or under way."""


def unique_name(uid: str) -> str:
    """Returns the UniqueName of the service of the object with this uid; at most 50 characters, letters, digits and hyphens."""
    return f"voiceassist-{uid.replace('-', '')}"[:50]


def friendly_name(desired: FunctionsDesired) -> str:
    """Returns the FriendlyName of the service, for people."""
    return f"voiceassist/{desired.namespace}/{desired.name}"[:255]


def desired_variables(desired: FunctionsDesired) -> dict[str, str]:
    """Returns the variables that are kept right. Without a Sync service its SID is left as it is."""
    variables = {"STREAM_URL": desired.stream_url}
    if desired.sync_service_sid:
        variables["SYNC_SERVICE_SID"] = desired.sync_service_sid
    return variables


def plan_variables(desired: Mapping[str, str], seen: tuple[Variable, ...], left: Mapping[str, str]) -> tuple[list[Step], list[str]]:
    """Steps that put the variables right, and what was changed by hand."""
    steps: list[Step] = []
    drift: list[str] = []
    found = {one.key: one for one in seen}
    for key, value in desired.items():
        one = found.get(key)
        if one is None:
            steps.append(SetVariable(key, value))
            if key in left:
                drift.append(f"variable {key} of the Functions was deleted: made again")
        elif one.value != value:
            steps.append(SetVariable(key, value, one.sid))
            if key in left and one.value != left[key]:
                drift.append(f"variable {key} of the Functions was {one.value[:SHOWN]!r}: put right")
    return steps, drift


def plan_serverless(desired: FunctionsDesired, sources: tuple[Source, ...], facts: ServerlessFacts, left: Left, now: float) -> Plan:
    """Returns the next steps; `now` in epoch seconds."""
    if facts.service is None:
        gone = (f"the Functions service {left.service_sid} was deleted: made again",) if left.service_sid else ()
        return Plan(State.STEPS, (CreateService(unique_name(desired.uid), friendly_name(desired)),), gone)
    steps, drift = _around(desired, facts, left)
    missing = [step for source in sources if (step := _missing(source, facts)) is not None]
    steps += missing
    drift += _functions_gone(sources, facts, left)
    if facts.environment is None:
        return Plan(State.STEPS, tuple(steps), tuple(drift))
    if missing:
        return Plan(State.STEPS, tuple(steps), tuple(drift))
    versions = tuple(version.sid for source in sources if (version := _version(source, facts)) is not None)
    same = [build for build in facts.builds if build.versions == frozenset(versions)]
    done = [build for build in same if build.status == "completed"]
    deployed = facts.environment.build_sid
    if left.build_sid and left.environment_sid == facts.environment.sid and deployed != left.build_sid:
        what = f"build {deployed} was deployed" if deployed else "nothing was deployed any more"
        drift.append(f"{what} instead of {left.build_sid} in the Functions environment: deployed again")
    if any(build.sid == deployed for build in done):
        steps += _left_over(facts, deployed)
        return Plan(State.STEPS if steps else State.DONE, tuple(steps), tuple(drift), build_sid=deployed)
    if done:
        newest = max(done, key=lambda build: (build.created, build.sid))
        steps.append(Deploy(newest.sid))
        return Plan(State.STEPS, tuple(steps), tuple(drift), build_sid=newest.sid)
    building = [build for build in same if build.status == "building" and now - build.created < HANG_SECONDS]
    if building:
        since = max(0.0, now - building[0].created)
        text = f"Twilio is building the Functions ({building[0].sid})"
        return Plan(
            State.STEPS if steps else State.BUILDING, tuple(steps), tuple(drift), text, min(15.0, max(2.0, since / 4)), building[0].sid
        )
    failed = [build for build in same if build.status in {"failed", "building"}]
    if failed and (wait := _wait(failed, now)) > 0:
        return Plan(State.STEPS if steps else State.FAILED, tuple(steps), tuple(drift), _failure(failed, now + wait), wait)
    old = sorted((build for build in failed if build.status == "failed"), key=lambda build: build.created)
    steps += [DeleteBuild(build.sid) for build in old[: max(0, len(old) - FAILED_KEPT + 1)]]
    steps.append(CreateBuild(versions))
    return Plan(State.STEPS, tuple(steps), tuple(drift))


def _around(desired: FunctionsDesired, facts: ServerlessFacts, left: Left) -> tuple[list[Step], list[str]]:
    """Returns the steps and drift of what surrounds the code: the service's settings, the environment, its variables."""
    service, steps, drift = facts.service, list[Step](), list[str]()
    assert service is not None  # noqa: S101 - asked before
    name = friendly_name(desired)
    if (service.friendly_name, service.include_credentials, service.ui_editable) != (name, False, False):
        steps.append(UpdateService(service.sid, name))
        if left.service_sid == service.sid:
            shown = {
                "FriendlyName": service.friendly_name != name and service.friendly_name[:SHOWN],
                "IncludeCredentials": service.include_credentials,
                "UiEditable": service.ui_editable,
            }
            described = ", ".join(
                f"{key} {str(value).lower() if value is True else repr(value)}" for key, value in shown.items() if value is not False
            )
            drift.append(f"the Functions service {service.sid} had {described}: put right")
    if facts.environment is None:
        steps.append(CreateEnvironment(ENVIRONMENT))
        if left.environment_sid and left.service_sid == service.sid:
            drift.append(f"the Functions environment {left.environment_sid} was deleted: made again")
        return steps, drift
    known = left.variables if left.environment_sid == facts.environment.sid else {}
    more, more_drift = plan_variables(desired_variables(desired), facts.variables, known)
    return steps + more, drift + more_drift


def _functions_of(source: Source, facts: ServerlessFacts) -> list[Function]:
    return [one for one in facts.functions if one.name == source.name]


def _version(source: Source, facts: ServerlessFacts) -> Version | None:
    """The version that holds a source: the first that was uploaded to the first function of its name that has one."""
    for function in _functions_of(source, facts):
        for version in function.versions:
            if (version.path, version.visibility) == (source.path, source.visibility):
                return version
    return None


def _missing(source: Source, facts: ServerlessFacts) -> Step | None:
    if _version(source, facts) is not None:
        return None
    made = _functions_of(source, facts)
    return Upload(made[0].sid, source) if made else CreateFunction(source.name)


def _functions_gone(sources: tuple[Source, ...], facts: ServerlessFacts, left: Left) -> list[str]:
    """Returns the functions that were deleted: there is not even one of an older content."""
    if not left.build_sid or facts.environment is None or left.environment_sid != facts.environment.sid:
        return []
    paths = {one.name.removeprefix(NAME_PREFIX).split(" ")[0] for one in facts.functions if one.name.startswith(NAME_PREFIX)}
    return [f"function {source.path} was deleted: made again" for source in sources if source.path not in paths]


def _left_over(facts: ServerlessFacts, deployed: str) -> list[Step]:
    """Returns the steps that delete what nothing needs any more, once the right build is deployed: Twilio bounds how many there may be."""
    used = {sid for build in facts.builds if build.sid == deployed for sid in build.versions}
    steps: list[Step] = [DeleteBuild(build.sid) for build in facts.builds if build.sid != deployed and build.status != "building"]
    for function in facts.functions:
        in_use = any(version.sid in used for version in function.versions)
        if function.name.startswith(NAME_PREFIX) and not in_use:
            steps.append(DeleteFunction(function.sid))
    return steps


def _wait(failed: list[Build], now: float) -> float:
    """Seconds until the next attempt; a build that hangs counts from when it was given up."""
    last = max(build.created + (HANG_SECONDS if build.status == "building" else 0.0) for build in failed)
    return last + RETRY_SECONDS[min(len(failed), len(RETRY_SECONDS)) - 1] - now


def _failure(failed: list[Build], again: float) -> str:
    last = max(failed, key=lambda build: build.created)
    when = datetime.fromtimestamp(again, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if last.status == "building":
        what = f"Twilio's build {last.sid} has not ended after {HANG_SECONDS / 60:.0f} minutes"
    else:
        what = f"Twilio says of build {last.sid}: failed (its API gives no more; the console's build log may)"
    times = f"; {len(failed)} attempts so far" if len(failed) > 1 else ""
    return f"{what}{times}; the next one is at {when}, and mode Relay works meanwhile"
