"""What an agent reads: a draft grows in its place, what is read stays where it is, each answer is said once, and the focus is theirs."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from .rig import Panel

ANSWER = "Yes, until the parcel is handed to the carrier. I can move it to any weekday within the next two weeks. Which day suits you?"
SAID = """() => {
  window.said = [];
  const watch = new MutationObserver((all) => {
    for (const { target } of all) {
      const words = (target.nodeType === 3 ? target.parentElement : target).textContent;
      if (words) window.said.push(words);
    }
  });
  for (const region of document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log]'))
    watch.observe(region, {childList: true, characterData: true, subtree: true});
}"""


def write(panel: Panel, words: int) -> None:
    """The newest draft has so many words of the answer."""
    text = " ".join(ANSWER.split()[:words])
    panel.show(f"{{suggestions: [s.draft(900, {text!r}), ...view.suggestions.filter((one) => !one.draft)]}}")


def finish(panel: Panel) -> None:
    """The draft becomes a suggestion."""
    panel.show(
        f"{{suggestions: [s.suggestion(900, {{answer: {ANSWER!r}, question: 'Can I still change the date?'}}), "
        "...view.suggestions.filter((one) => !one.draft)], announcement: {key: 'a9', kind: 'suggestion', "
        f"question: 'Can I still change the date?', answer: {ANSWER!r}}}}}"
    )


def test_a_draft_grows_in_its_place(panel: Panel) -> None:
    """Word by word in one element, which stays when the suggestion is finished; what is below moves only when a draft comes."""
    panel.open("listening")
    below = "1-item_5"
    assert panel.cards.first.get_attribute("data-id") == below
    write(panel, 1)
    card = panel.cards.first
    assert card.get_attribute("aria-busy") == "true"
    panel.page.evaluate("window.first = document.querySelector('[data-testid=voice-assist-suggestion]')")
    at, seen = panel.top(below), []
    for words in range(2, 12):
        write(panel, words)
        seen.append(card.locator(".va-answer").inner_text().strip())
        assert panel.top(below) == at, words
    assert seen == [" ".join(ANSWER.split()[:words]) for words in range(2, 12)]
    write(panel, 99)
    grown = panel.top(below)
    assert grown - at <= 3 * 24, "three lines more than were kept"
    finish(panel)
    assert panel.page.evaluate("window.first === document.querySelector('[data-testid=voice-assist-suggestion]')")
    expect(card).not_to_have_attribute("aria-busy", "true")
    expect(card).to_contain_text("Can I still change the date?")
    assert panel.top(below) == grown, "the question and the buttons have a place already"


def test_what_is_read_stays_where_it_is(panel: Panel) -> None:
    """Further down nothing moves when something comes and grows above; a button says that there is something new."""
    panel.open("many")
    expect(panel.cards).to_have_count(200)
    panel.of("list").evaluate("(box) => box.scrollTo(0, 4000)")
    panel.page.wait_for_timeout(100)
    read = panel.page.evaluate(
        "() => [...document.querySelectorAll('article.va-card')].find((card) => card.getBoundingClientRect().top > 300).dataset.id"
    )
    at = panel.top(read)
    for words in range(1, 26, 3):
        write(panel, words)
        panel.frames()
        assert abs(panel.top(read) - at) <= 1, words
    finish(panel)
    panel.frames()
    assert abs(panel.top(read) - at) <= 1
    panel.of("new").click()
    expect(panel.cards.first).to_be_in_viewport()
    expect(panel.of("new")).to_have_count(0)


def test_the_focus_stays_where_the_agent_put_it(panel: Panel) -> None:
    """Not a word, a suggestion, a state or a failure takes the focus, neither from Flex nor from a card."""
    for place in ("hang-up", "card"):
        panel.open("listening")
        (panel.page.get_by_test_id("hang-up") if place == "hang-up" else panel.cards.nth(2)).focus()
        before = panel.focused()
        write(panel, 3)
        write(panel, 9)
        finish(panel)
        for state in ("{state: 'paused', byHold: false}", "{state: 'reconnecting', what: 'sync'}", "{state: 'off', why: 'stopped'}"):
            panel.show(f"{{status: {state}}}")
        panel.show("{status: {state: 'failed', failure: {code: 'streamLost', action: 'retry'}}}")
        assert panel.focused() == before


def test_each_answer_is_said_once(panel: Panel) -> None:
    """Politely, when it is finished, in a region of its own; drafts and the transcript are not said, nor what was there before."""
    panel.open("listening")
    assert panel.page.locator("[role=log], [aria-live=assertive]").count() == 0
    assert panel.of("announcer").all_inner_texts() == ["", ""]
    panel.page.evaluate(SAID)
    for words in range(1, 20):
        write(panel, words)
    panel.show("{transcript: s.transcript(9)}")
    finish(panel)
    finish(panel)
    panel.show("{suggestions: [...view.suggestions]}")
    expect(panel.of("announcer").filter(has_text="New suggestion")).to_have_count(1)
    assert panel.page.evaluate("window.said") == [f"New suggestion. Can I still change the date? Answer: {ANSWER}"]


def test_the_same_words_twice_are_said_twice(panel: Panel) -> None:
    """Two regions take turns, so that copying twice is heard twice."""
    panel.open("listening")
    panel.page.evaluate(SAID)
    for key in ("u1", "u2"):
        panel.show(f"{{announcement: {{key: '{key}', kind: 'used', used: 'copied'}}}}")
        panel.frames()
    assert panel.page.evaluate("window.said") == ["Copied", "Copied"]


def test_states_and_failures_are_said(panel: Panel) -> None:
    """A state by its name; a failure with its reason; a pause that failed with what it means."""
    panel.open("listening")
    panel.page.evaluate(SAID)
    panel.show("{announcement: {key: '1', kind: 'status', status: {state: 'paused', byHold: true}}}")
    panel.show("{announcement: {key: '2', kind: 'status', status: {state: 'failed', failure: {code: 'streamLost', action: 'retry'}}}}")
    panel.show(
        "{announcement: {key: '3', kind: 'alert',"
        " alert: {command: 'pause', audioStillSent: true, failure: {code: 'busy', action: 'retry'}}}}"
    )
    said = panel.page.evaluate("window.said")
    assert said[0] == "Voice assist: Paused (hold)."
    assert said[1].startswith("Voice assist: The assist no longer hears the call. The audio")
    assert said[2].startswith("Not paused: the call is STILL being sent.")


def test_nothing_is_said_when_the_panel_opens_again(panel: Panel) -> None:
    """An agent who comes back to a call does not hear its last answer once more."""
    panel.open("listening")
    finish(panel)
    expect(panel.of("announcer").filter(has_text="New suggestion")).to_have_count(1)
    panel.run("(g) => { const view = g.view(); g.remount(); g.show(view); }")
    panel.page.wait_for_timeout(100)
    assert panel.of("announcer").all_inner_texts() == ["", ""]


def test_old_suggestions_fade_and_stay_readable(panel: Panel) -> None:
    """The text of a past topic is less prominent; axe has measured that it can be read."""
    panel.open("listening")
    colours = [panel.cards.nth(at).locator(".va-answer").evaluate("(e) => getComputedStyle(e).color") for at in range(4)]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_only_what_is_there_is_shown(panel: Panel) -> None:
    """Kinds, sources and redactions appear with the suggestions that have them; links are https and tell the other page nothing."""
    panel.open("listening")
    assert [panel.of(name).count() for name in ("sources", "redactions")] == [0, 0]
    assert panel.page.locator(".va-badge").count() == 0
    panel.open("rich")
    expect(panel.cards.first).to_contain_text("Left out: card number, email")
    link = panel.of("sources").get_by_role("link").first
    assert link.get_attribute("href") == "https://help.example.com/delivery/change"
    assert (link.get_attribute("rel"), link.get_attribute("target")) == ("noopener noreferrer", "_blank")
    expect(panel.cards.nth(1)).to_contain_text("The end is cut off")


def test_the_transcript_follows_and_can_be_read_back(panel: Panel) -> None:
    """It stays at its end; scrolled up, it stays where it is, and a button leads back."""
    panel.open("many")
    panel.of("tab-transcript").click()
    box = panel.of("transcript")
    expect(box.get_by_role("listitem")).to_have_count(400)
    left = "(box) => box.scrollHeight - box.scrollTop - box.clientHeight"
    assert box.evaluate(left) <= 1
    panel.show("{transcript: s.transcript(405)}")
    assert box.evaluate(left) <= 1
    box.evaluate("(box) => box.scrollTo(0, 3000)")
    panel.page.wait_for_timeout(100)
    panel.show("{transcript: s.transcript(410)}")
    assert box.evaluate("(box) => box.scrollTop") == 3000
    panel.page.get_by_role("button", name=re.compile("To the newest")).click()
    panel.frames()
    assert box.evaluate(left) <= 1


def test_an_error_stays_in_the_panel(panel: Panel) -> None:
    """What cannot be drawn leaves the call's own buttons alone, and the panel can be opened again."""
    panel.open("listening")
    panel.run("(g) => { window.kept = g.view(); g.show({...g.view(), suggestions: null}); }")
    expect(panel.of("crashed")).to_contain_text("The call is not affected")
    expect(panel.page.get_by_test_id("hang-up")).to_be_enabled()
    panel.run("(g) => g.show(window.kept)")
    panel.of("crashed").get_by_role("button").click()
    expect(panel.of("panel")).to_be_visible()
    assert panel.said, "React says on the console what broke"
    panel.said.clear()
