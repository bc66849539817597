"""Writing a call's Document: what an unclear answer leads to, and what becomes of an attempt that arrives after it was given up."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.errors import TwilioRefused, TwilioUnclear
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.sync.call_documents import CallDocuments, DocumentStore
from voiceassist_relay.sync.client import Revisioned
from voiceassist_relay.sync.document_mac import FIELD
from voiceassist_relay.twilio.retry import RetryPolicy

CALL = "CA" + "1" * 32
NEW = CallDocument(
    state=CallState.STARTING, generation=1, stream_name="assist", sync_stream="s", deadline=1_800_000_000.25, worker="WK1", identity="ann"
)
OTHERS = NEW.model_copy(update={"deadline": 1_800_000_000.5})


class LateSync:
    """A Sync in whose answers nobody can trust: the first creations fail unclearly, and `arrives` is there by the next one."""

    def __init__(self, unclear: int, arrives: CallDocument | None) -> None:
        self.stored: CallDocument | None = None
        self.unclear, self.arrives, self.creations = unclear, arrives, 0
        self.auth_tokens = ("a token",)

    async def is_guarded(self) -> bool:
        return True

    async def fetch_document(self, name: str) -> Revisioned:
        if self.stored is None:
            raise TwilioRefused("sync_document_fetch", 404, 20404, "no such document")
        return Revisioned(sid="ET1", data=self.stored.model_dump(mode="json", by_alias=True), revision="1")

    async def create_document(self, name: str, data: dict[str, Any], ttl: int) -> Revisioned:
        self.creations += 1
        if self.creations <= self.unclear:
            raise TwilioUnclear("sync_document_create", 0, 0, "no answer")
        self.stored = self.stored or self.arrives
        if self.stored is not None:
            raise TwilioRefused("sync_document_create", 409, 54301, "unique name already exists")
        self.stored = CallDocument.model_validate({name: value for name, value in data.items() if name != FIELD})
        return await self.fetch_document(name)


@pytest.mark.parametrize(
    ("unclear", "arrives", "written"),
    [
        pytest.param(0, None, True, id="well"),
        pytest.param(2, None, True, id="nothing was written, so again"),
        pytest.param(1, NEW, True, id="the attempt that was given up arrives"),
        pytest.param(1, OTHERS, False, id="somebody else was quicker"),
        pytest.param(0, NEW, False, id="the same by another hand, and nothing unclear"),
    ],
)
async def test_call_documents_a_write_that_stays_unclear_is_repeated_and_known_again(
    unclear: int, arrives: CallDocument | None, written: bool
) -> None:
    sync = LateSync(unclear, arrives)
    store = DocumentStore(sync, lambda: 3600, RelayMetrics())  # type: ignore[arg-type]
    documents = CallDocuments(store, RetryPolicy(first=0.001, longest=0.001, attempts=4))
    assert await documents.write(CALL, NEW, None) is written
    assert sync.creations == unclear + 1


async def test_call_documents_a_write_that_stays_unclear_for_too_long_is_an_error() -> None:
    sync = LateSync(99, None)
    store = DocumentStore(sync, lambda: 3600, RelayMetrics())  # type: ignore[arg-type]
    documents = CallDocuments(store, RetryPolicy(first=0.001, longest=0.001, attempts=4))
    with pytest.raises(TwilioUnclear):
        await documents.write(CALL, NEW, None)
    assert sync.creations == 4
