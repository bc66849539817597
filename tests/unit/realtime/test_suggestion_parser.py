"""The suggestion parser: drafts from pieces of JSON cut anywhere, and what is made of arguments that are not quite JSON."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voiceassist_relay.realtime.core.suggestion_parser import MAX_CHARACTERS, Arguments, SuggestionParser, from_text

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def cut(text: str, points: list[int]) -> list[str]:
    edges = [0, *sorted({point % (len(text) + 1) for point in points}), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@given(answer=TEXT, question=TEXT, points=st.lists(st.integers(0, 10_000), max_size=12), ascii_only=st.booleans(), spaced=st.booleans())
@example(answer='😀é\n"\\', question="", points=list(range(80)), ascii_only=True, spaced=False)
def test_suggestion_parser_drafts_grow_to_the_answer_wherever_the_json_is_cut(answer, question, points, ascii_only, spaced) -> None:
    fields = {"relevant": True, "answer": answer, "question": question}
    text = json.dumps(fields, ensure_ascii=ascii_only, indent=2 if spaced else None)
    parser, drafts = SuggestionParser(), []
    for piece in cut(text, points):
        draft = parser.feed(piece)
        if draft is not None:
            drafts.append(draft)
    whole = answer.strip()
    assert all(whole.startswith(draft.rstrip()) for draft in drafts)
    assert [len(d) for d in drafts] == sorted({len(d) for d in drafts})
    assert (drafts[-1] if drafts else "") == whole
    expected = Arguments(True, whole, question.strip()) if whole else None
    assert parser.finish() == expected
    assert SuggestionParser().finish(text) == expected


@given(
    fields=st.permutations(["relevant", "answer", "question", "other"]),
    points=st.lists(st.integers(0, 500), max_size=20),
    value=st.booleans(),
)
def test_suggestion_parser_no_draft_before_relevant_is_true(fields, points, value) -> None:
    values = {
        "relevant": value,
        "answer": "Offer the waiver.",
        "question": "Why?",
        "other": {"answer": ["no", {"relevant": True}], "x": "}"},
    }
    text = json.dumps({name: values[name] for name in fields})
    told = text.index('"relevant": ' + ("true" if value else "false")) + len('"relevant": true')
    parser, seen = SuggestionParser(), 0
    for piece in cut(text, points):
        seen += len(piece)
        draft = parser.feed(piece)
        assert draft is None or (value and seen >= told)
        assert draft is None or "Offer the waiver.".startswith(draft)
    assert parser.finish() == Arguments(value, "Offer the waiver." if value else "", "Why?")


@given(st.text(max_size=200), st.lists(st.integers(0, 300), max_size=8))
def test_suggestion_parser_any_text_at_all_raises_nothing(text, points) -> None:
    parser = SuggestionParser()
    for piece in cut(text, points):
        parser.feed(piece)
    parser.finish()
    from_text(text)


def test_suggestion_parser_a_surrogate_pair_split_between_two_pieces_is_one_character() -> None:
    parser = SuggestionParser()
    assert parser.feed('{"relevant":true,"answer":"Fine \ud83d') == "Fine"
    assert parser.feed("\ude00") == "Fine 😀"
    other = SuggestionParser()
    assert other.feed('{"relevant":true,"answer":"a\\ud83') == "a"
    assert other.feed("d\\u") is None
    assert other.feed('de00"}') == "a😀"


def test_suggestion_parser_half_a_pair_becomes_a_replacement_character() -> None:
    parser = SuggestionParser()
    parser.feed('{"relevant":true,"answer":"a\\ud83d b\\ude00')
    assert parser.feed('"}') is None
    assert parser.finish() == Arguments(True, "a� b�", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"relevant":false,"answer":"","question":"hm"}', Arguments(False, "", "hm")),
        ('{"relevant":"true","answer":"Yes.","question":""}', Arguments(True, "Yes.", "")),
        ('{"relevant":1,"answer":"Yes."}', Arguments(True, "Yes.", "")),
        ('{"answer":"Yes."}', Arguments(True, "Yes.", "")),
        ('{"relevant":true,"answer":["One.","Two."],"question":null}', Arguments(True, "One.\nTwo.", "")),
        ('{"relevant":true,"answer":42}', Arguments(True, "42", "")),
        ('```json\n{"relevant":true,"answer":"Yes."}\n```', Arguments(True, "Yes.", "")),
        ('{"relevant":true,"answer":"Yes.","question":"Wh', Arguments(True, "Yes.", "")),
        ('{"relevant":true,"answer":"Yes.",}', Arguments(True, "Yes.", "")),
        ('{"relevant":true,"answer":"line\nbreak"}', Arguments(True, "line\nbreak", "")),
        ('{"relevant":false', Arguments(False, "", "")),
        ('{"relevant":true,"answer":"half a sen', None),
        ('{"relevant":true,"answer":"   "}', None),
        ('{"relevant":true}', None),
        ('{"relevant":"perhaps","answer":"Yes."}', None),
        ('{"relevant":tr', None),
        ("[1,2]", None),
        ("", None),
        ('{"relevant":true,"answer":"' + "x" * MAX_CHARACTERS + '"}', None),
    ],
)
def test_suggestion_parser_repaired_or_dropped(text, expected) -> None:
    parser = SuggestionParser()
    parser.feed(text)
    assert parser.finish() == expected


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ('{"relevant":true,"answer":"Yes.","question":"Why?"}', False),
        (' {"question":"", "relevant":false, "answer":""} ', False),
        ('{"relevant":true,"answer":"Yes."}', True),
        ('{"relevant":"true","answer":"Yes.","question":""}', True),
        ('{"relevant":true,"answer":"Yes.","question":"","more":1}', True),
        ('```json\n{"relevant":true,"answer":"Yes.","question":""}\n```', True),
        ('{"relevant":true,"answer":"Yes.","question":"Wh', True),
        ('<think>Well.</think>{"relevant":true,"answer":"Yes.","question":""}', True),
        ('{"relevant":true,"answer":"<think>Well.</think>Yes.","question":""}', True),
    ],
)
def test_suggestion_parser_tells_what_was_not_in_the_form_asked_for(text: str, repaired: bool) -> None:
    parser = SuggestionParser()
    parser.feed(text)
    found = parser.finish()
    assert found is not None
    assert found.repaired is repaired
    said = from_text(text)
    assert said is not None and said.repaired, "a message is no call of the tool, whatever it says"


def test_suggestion_parser_text_without_a_call_is_the_answer() -> None:
    assert from_text(" Offer the waiver. ") == Arguments(True, "Offer the waiver.", "")
    assert from_text('{"relevant": false, "answer": "", "question": "q"}') == Arguments(False, "", "q")
    assert from_text("  ") is None


def test_suggestion_parser_the_servers_repetition_overrules_the_pieces() -> None:
    parser = SuggestionParser()
    parser.feed('{"relevant":true,"answer":"Wro')
    assert parser.finish('{"relevant":true,"answer":"Right.","question":"q"}') == Arguments(True, "Right.", "q")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("<think>The customer is angry.</think>I am sorry.", "I am sorry."),
        ("<think>\n</think>\n\nI am sorry.", "I am sorry."),
        ("The customer is angry.</think>I am sorry.", "I am sorry."),
        ("I am <thinking>what?</THINKING>sorry.", "I am sorry."),
        ("I am sorry.<think>And now", "I am sorry."),
        ("2 < 3 and <b>bold</b>", "2 < 3 and <b>bold</b>"),
    ],
)
def test_suggestion_parser_what_a_model_thinks_aloud_is_not_said(said, answer) -> None:
    arguments = json.dumps({"relevant": True, "answer": said, "question": "<think>x</think>Why?"})
    assert SuggestionParser().finish(arguments) == Arguments(True, answer, "Why?")
    assert from_text(said) == Arguments(True, answer, "")
    assert from_text(f"<think>{{}} hm</think>{arguments}") == Arguments(True, answer, "Why?")
    assert SuggestionParser().finish(f"<think>{{}} hm</think>{arguments}") == Arguments(True, answer, "Why?")


@pytest.mark.parametrize("said", ["<think>only this", "<think>only this</think>", "<think>a</think> <think>b"])
def test_suggestion_parser_thoughts_alone_are_no_suggestion(said) -> None:
    assert from_text(said) is None
    assert SuggestionParser().finish(json.dumps({"relevant": True, "answer": said, "question": ""})) is None


@pytest.mark.parametrize("size", [1, 3, 7])
def test_suggestion_parser_no_draft_shows_a_thought_nor_half_a_tag(size) -> None:
    text = json.dumps({"relevant": True, "answer": "<think>He is angry.</think>I am sorry, 2 < 3.", "question": ""})
    parser = SuggestionParser()
    drafts = [draft for at in range(0, len(text), size) if (draft := parser.feed(text[at : at + size])) is not None]
    assert drafts[-1] == "I am sorry, 2 < 3."
    assert all("I am sorry, 2 < 3.".startswith(draft) for draft in drafts), drafts
