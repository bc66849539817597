"""The call's language, from a tag such as `zh-TW` (BCP 47) to what a vendor takes: a code, and words for region and script. Pure."""

from __future__ import annotations

_TWO_LETTERS = {"fil": "tl", "cmn": "zh", "yue": "zh", "arb": "ar", "nob": "no", "pes": "fa", "swh": "sw", "zsm": "ms"}
"""Languages that ISO 639-1 has only by the code of the wider one."""

_SCRIPTS = {
    "Arab": "Arabic script",
    "Cyrl": "Cyrillic script",
    "Deva": "Devanagari",
    "Hans": "Simplified Chinese characters",
    "Hant": "Traditional Chinese characters",
    "Latn": "Latin script",
}
_SCRIPT_OF_REGION = {"CN": "Hans", "MY": "Hans", "SG": "Hans", "HK": "Hant", "MO": "Hant", "TW": "Hant"}
"""How Chinese is written where a tag says the region alone."""
_WRITTEN_SO = {"Hans": "以下是用简体中文记录的通话。", "Hant": "以下是以繁體中文記錄的通話。"}
"""A sentence in the script itself: models of transcription go on in the style of their prompt."""


def code(tag: str) -> str | None:
    """Returns the language by ISO 639-1, which is all that transcription takes; None where that has none: found out from the audio."""
    language = tag.partition("-")[0]
    language = _TWO_LETTERS.get(language, language)
    return language if len(language) == 2 else None


def is_more_than_its_code(tag: str) -> bool:
    """Whether the code alone would lose something: a region, a script, or a language without a code of its own."""
    return len(tag) > 2


def for_answers(tag: str) -> str:
    """Returns what instructions say of the language beside the prompt."""
    script = _script(tag)
    written = f", written in {_SCRIPTS.get(script, f'the script {script} (ISO 15924)')}" if script else ""
    told = f'The language of this call is "{tag}" (BCP 47).'
    return f"{told} Unless told otherwise, write what the agent could say as it is used there{written}."


def for_transcription(tag: str) -> str:
    """Returns a transcription's prompt as free text; empty where the code says all."""
    if not is_more_than_its_code(tag):
        return ""
    script = _script(tag)
    written = f" and in {_SCRIPTS.get(script, f'the script {script} (ISO 15924)')}" if script else ""
    return f'The language is "{tag}" (BCP 47); write it as there{written}. {in_its_script(tag)}'.rstrip()


def in_its_script(tag: str) -> str:
    """Returns a prompt for models that take no instructions, only an example of how to write; empty where there is none."""
    return _WRITTEN_SO.get(_script(tag) or "", "")


def _script(tag: str) -> str | None:
    """The script by ISO 15924: the tag's own, or that of its region; None where neither tells."""
    language, *parts = tag.split("-")
    script = next((part.title() for part in parts if len(part) == 4 and part.isalpha()), None)
    if script is None and code(language) == "zh":
        script = next((_SCRIPT_OF_REGION[part.upper()] for part in parts if part.upper() in _SCRIPT_OF_REGION), None)
    return script
