"""What happens at Twilio when an object is deleted: our own goes in order, the rest stays; refusals and a Twilio that is away."""

from __future__ import annotations

from integration.twilio_worker_rig import NAME, NAMESPACE, rigged
from voiceassist_operator.twilio.cleanup import TwilioCleanup
from voiceassist_sim.twilio import FaultKind, FaultRule, OtherWriter, When

OTHERS = {"theme": "dark", "custom_data": {"others": 1, "voice_assist": {"instances": {"team/other": {"functionsUrl": "https://x"}}}}}


def done(cleanup: TwilioCleanup) -> bool:
    return cleanup.done


async def test_everything_of_ours_goes_in_order_and_nothing_else() -> None:
    async with rigged() as rig:
        rig.edit_flex(OTHERS)
        rig.spec = {"flex": {"queues": ["sales"]}, "functions": {"mode": "Serverless"}}
        await rig.settled()
        await rig.until(lambda _: "twil.io" in str(rig.instances()))
        assert rig.drift == [], "what we change is no drift"
        await rig.worker.finish()
        rig.look()
        sid, asked = rig.record.sync.sid, rig.asked()
        cleanup = await rig.leave(relays_gone=False)
        await rig.left(cleanup, lambda one: one.flex_tried)
        assert rig.twilio.flex.values()["ui_attributes"] == OTHERS
        assert len(rig.named()) == 1, "the relays still have calls"
        assert len(rig.twilio.serverless.services) == 1, "the relays still have calls"
        cleanup.relays_gone()
        await rig.left(cleanup, done)
        assert (rig.named(), dict(rig.twilio.serverless.services), cleanup.left, cleanup.problem) == ([], {}, (), "")
        assert cleanup.removed[0] == f"entry {NAMESPACE}/{NAME} of the Flex configuration"
        assert cleanup.removed[2] == f"Sync service {sid}"
        writes = [(one.method, one.path.split("/")[1]) for one in rig.twilio.journal.requests()[asked:] if one.method != "GET"]
        assert writes == [("POST", "flex-api"), ("DELETE", "serverless"), ("DELETE", "sync")]


async def test_what_was_adopted_is_kept() -> None:
    async with rigged() as rig:
        service = rig.twilio.sync.create_service(0.0)
        rig.spec = {"sync": {"serviceSid": service.sid}}
        await rig.settled()
        cleanup = await rig.leave()
        await rig.left(cleanup, done)
        assert list(rig.twilio.sync.services) == [service.sid]


async def test_our_own_is_kept_once_the_object_names_it() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.spec = {"sync": {"serviceSid": rig.record.sync.sid}}
        await rig.settled()
        await rig.left(await rig.leave(), done)
        assert len(rig.named()) == 1


async def test_what_was_made_and_not_recorded_goes_too() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.restart(forget=True)
        await rig.left(await rig.leave(), done)
        assert (rig.named(), rig.instances()) == ([], {})


async def test_an_entry_of_another_object_with_our_name_stays() -> None:
    async with rigged() as rig:
        await rig.settled()
        theirs = {"uid": "another", "functionsUrl": "https://elsewhere"}
        rig.edit_flex({"custom_data": {"voice_assist": {"instances": {"team/support": theirs}}}})
        await rig.left(await rig.leave(), done)
        assert rig.instances()["team/support"]["uid"] == "another"


async def test_twilio_away_delays_and_says_what_is_left() -> None:
    async with rigged() as rig:
        await rig.settled()
        sid = rig.record.sync.sid
        rig.twilio.faults.set([FaultRule(FaultKind.SERVER_ERROR, status=503)])
        cleanup = await rig.leave()
        await rig.left(cleanup, lambda one: one.problem and one.flex_tried)
        assert not cleanup.done
        assert cleanup.left == ("entry team/support of the Flex configuration", f"Sync service {sid}")
        assert "HTTP 503" in cleanup.problem
        rig.twilio.faults.set([])
        await rig.left(cleanup, done)
        assert (rig.named(), rig.instances(), cleanup.left) == ([], {}, ())


async def test_a_secret_that_is_gone_delays_and_a_new_one_helps() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.secrets.values, kept = None, rig.secrets.values
        cleanup = await rig.leave()
        await rig.left(cleanup, lambda one: one.problem)
        assert "Secret twilio is not there" in cleanup.problem
        assert len(cleanup.left) == 2
        rig.secrets.values = kept
        await rig.left(cleanup, done)
        assert rig.named() == []


async def test_refused_credentials_are_tried_once() -> None:
    async with rigged() as rig:
        await rig.settled()
        right = dict(rig.secrets.values or {})
        rig.secrets.set(apiKeySecret="wrong", authToken="wrong")
        asked = rig.asked()
        cleanup = await rig.leave()
        await rig.left(cleanup, lambda one: one.problem and one.flex_tried)
        assert rig.asked() == asked + 1
        rig.secrets.set(**right)
        await rig.left(cleanup, done)
        assert rig.named() == []


async def test_an_object_that_never_had_anything_does_not_wait() -> None:
    async with rigged() as rig:
        rig.secrets.set(apiKeySecret="wrong", authToken="wrong")
        cleanup = await rig.leave()
        await rig.left(cleanup, done)
        assert cleanup.left == ()


async def test_somebody_who_writes_the_entry_back() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.twilio.flex.let_others_write(OtherWriter(When.AFTER_POST, {"ui_attributes": {"theirs": 1}}, stale=True))
        await rig.left(await rig.leave(), done)
        assert rig.instances() == {}
        assert rig.twilio.flex.values()["ui_attributes"]["theirs"] == 1


async def test_a_look_under_way_ends_before_the_leave_begins() -> None:
    async with rigged() as rig:
        rig.twilio.faults.set([FaultRule(FaultKind.LATENCY, path="/sync/v1/Services$", method="POST", seconds=0.5)])
        await rig.until(lambda _: rig.twilio.faults.fired[0])
        cleanup = await rig.leave()
        await rig.left(cleanup, done)
        assert (rig.named(), rig.instances()) == ([], {})
