"""Twilio's request signature (HMAC-SHA1 over the address and the form), made here from its description and not with Twilio's package.

Source: Twilio's guide on request security; the vectors that the tests use are in the project's notes on signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

SIGNATURE_HEADER = "x-twilio-signature"


def sign(auth_token: str, url: str, form: Mapping[str, str] | None = None) -> str:
    """Sign a request: ``base64(HMAC-SHA1(auth_token, url + name1 + value1 + ...))`` with the form's fields sorted by name.

    ``url`` is the whole address as Twilio was given it, scheme included (``wss`` for a stream's upgrade). A GET, and so an
    upgrade, has no form.
    """
    text = url + "".join(name + form[name] for name in sorted(form)) if form else url
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode("ascii")
