"""The one tool that the model is made to call, and how the agent's words are marked for it.

The prompt's revision does not cover it. Operator and relay compute that revision each for itself and must agree, also while an upgrade
has only one of them; and a release that words the tool better is no new prompt, to be rolled out in steps or back. Suggestions of two
releases are told apart by the version in the relay's `/status`.
"""

from __future__ import annotations

from typing import Any, Final

NAME: Final = "suggest"
AGENT_PREFIX: Final = "Agent: "
"""Begins every item that holds the human agent's words; everything else of role `user` is the customer."""

SUGGEST: Final[dict[str, Any]] = {
    "type": "function",
    "name": NAME,
    "description": (
        "Shows the human agent what to say next. The conversation is a telephone call: audio and unmarked user text are the customer, "
        f'user text that begins with "{AGENT_PREFIX.strip()}" is the human agent, assistant text is what was suggested earlier. '
        "Call this exactly once for each request, at once, without any text before or after it."
    ),
    "parameters": {
        "type": "object",
        "properties": {
            "relevant": {
                "type": "boolean",
                "description": (
                    "false if the agent needs no suggestion now: small talk, noise, a greeting, an unfinished sentence. Written first."
                ),
            },
            "answer": {
                "type": "string",
                "description": "What the agent could say next, ready to be read aloud. Empty if relevant is false.",
            },
            "question": {"type": "string", "description": "What the customer asked or said, in one short sentence."},
        },
        "required": ["relevant", "answer", "question"],
        "additionalProperties": False,
    },
}
