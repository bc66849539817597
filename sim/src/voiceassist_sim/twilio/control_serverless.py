"""Serverless in the control API: what is there, what runs in an environment, what the next builds come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import bad_parameter, not_found
from .serverless_model import BuildPlan, Status
from .serverless_store import ServerlessStore


def serverless_json(store: ServerlessStore) -> dict[str, Any]:
    """Everything in Serverless, with the contents of what is deployed."""
    services = [
        {
            "sid": service.sid,
            "uniqueName": service.unique_name,
            "friendlyName": service.friendly_name,
            "environments": [
                {
                    "sid": one.sid,
                    "uniqueName": one.unique_name,
                    "deployments": [{"sid": made.sid, "buildSid": made.build_sid} for made in one.deployments.values()],
                    "deployed": store.deployed(service, one),
                }
                for one in service.environments.values()
            ],
            "functions": [
                {"sid": one.sid, "friendlyName": one.friendly_name, "versions": list(one.versions)} for one in service.functions.values()
            ],
            "builds": [
                {
                    "sid": one.sid,
                    "status": one.status,
                    "outcome": one.plan.outcome,
                    "message": one.plan.message,
                    "functionVersions": [version.sid for version in one.versions],
                }
                for one in service.builds.values()
            ],
        }
        for service in store.services.values()
    ]
    return {"services": services, "plans": _plans(store), "refusedBuilds": list(store.refused_builds)}


def deployed_json(store: ServerlessStore, ref: str) -> dict[str, Any]:
    """What runs in the environment with this SID or domain name; 404/20404."""
    for service in store.services.values():
        for environment in service.environments.values():
            if ref in (environment.sid, environment.domain_name):
                return store.deployed(service, environment)
    raise not_found(f"/Environments/{ref}")


def plan_builds(store: ServerlessStore, given: Mapping[str, Any]) -> dict[str, Any]:
    """Take orders for the next builds from ``{"plans": [{outcome, message, times, seconds, polls}]}``."""
    plans = given.get("plans", [])
    if set(given) - {"plans"} or not isinstance(plans, list) or not all(isinstance(one, dict) for one in plans):
        raise bad_parameter("The body must be {plans: [{outcome, message, times, seconds, polls}]}")
    store.plan_builds(*(BuildPlan.of(one) for one in plans))
    return {"plans": _plans(store)}


def settle_build(store: ServerlessStore, sid: str, status: str, now: float) -> dict[str, Any]:
    """End a build that hangs or takes its time: ``completed`` or ``failed``; 404/20404."""
    for service in store.services.values():
        if sid in service.builds:
            store.settle(service.builds[sid], Status(status), now)
            return {"sid": sid, "status": status}
    raise not_found(f"/Builds/{sid}")


def _plans(store: ServerlessStore) -> list[dict[str, Any]]:
    return [
        {"outcome": one.outcome, "message": one.message, "times": one.times, "seconds": one.seconds, "polls": one.polls}
        for one in store.plans
    ]
