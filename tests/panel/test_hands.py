"""What an agent does, by mouse and by keys alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .rig import Panel

NEWEST, NEXT = "1-item_5", "1-item_4"
FLEX_KEYS = set("1LARTYSHMC")
"""Flex UI 2.17.1, `defaultKeyboardShortcuts`; that these are all is checked in Flex itself (tests/flex)."""


def press(panel: Panel, *keys: str) -> None:
    """Presses keys one after another."""
    for key in keys:
        panel.page.keyboard.press(key)


def test_one_stop_for_the_whole_list(panel: Panel) -> None:
    """Tab leads from the call's buttons over the panel's to the newest card and its buttons, not through every card."""
    panel.open("listening")
    panel.page.get_by_test_id("hang-up").focus()
    passed = []
    for _ in range(16):
        press(panel, "Tab")
        passed.append(panel.focused())
    names = ["button", "pause", "stop", "tab-suggestions", "keys", NEWEST, "dismiss", "copy", "insert", "edit", "helpful", "notHelpful"]
    assert passed[: len(names)] == [name if name == NEWEST else f"voice-assist-{name}" for name in names]
    assert not {one for one in passed[len(names) :] if one.startswith("1-item")}


def test_arrows_go_from_card_to_card(panel: Panel) -> None:
    """Down and up by one, to the ends, never beyond; Tab then leads into that card's buttons."""
    panel.open("listening")
    panel.cards.first.focus()
    press(panel, "ArrowUp")
    assert panel.focused() == NEWEST
    press(panel, "ArrowDown")
    assert panel.focused() == NEXT
    press(panel, "End", "PageDown")
    assert panel.focused() == "1-item_0"
    press(panel, "Home", "PageDown", "Tab")
    assert panel.focused() == "voice-assist-copy"
    press(panel, "Enter")
    assert panel.asked() == [["copy", NEXT]]


@pytest.mark.parametrize(
    ("key", "command"),
    [("c", "copy"), ("i", "insert"), ("+", "helpful"), ("-", "notHelpful"), ("x", "dismiss"), ("Delete", "dismiss")],
)
@pytest.mark.parametrize("at", [0, 2])
def test_keys_on_a_card(panel: Panel, key: str, command: str, at: int) -> None:
    """Each key does its deed to the card with the focus."""
    panel.open("listening")
    card = panel.cards.nth(at)
    card.focus()
    identity = card.get_attribute("data-id")
    press(panel, key)
    assert panel.asked() == [[command, identity]]


def test_keys_with_ctrl_are_the_browsers(panel: Panel) -> None:
    """Ctrl+C copies what is selected, as everywhere."""
    panel.open("listening")
    panel.cards.first.focus()
    press(panel, "Control+c", "Control+i", "Alt+x")
    assert panel.asked() == []


def test_a_dismissed_card_hands_the_focus_on(panel: Panel) -> None:
    """By key: to the card that takes its place, at the end to the one before; by mouse alone nothing moves the focus."""
    panel.open("listening")
    panel.cards.first.focus()
    press(panel, "x")
    assert panel.focused() == NEXT
    press(panel, "End", "Delete")
    assert panel.focused() == "1-item_1"
    panel.page.get_by_test_id("hang-up").focus()
    press(panel, "Control+Shift+Digit4")
    assert panel.focused() == "hang-up"
    assert panel.asked()[-1] == ["dismiss", NEXT]
    expect(panel.of("panel")).to_contain_text("Dismissed: 3")
    panel.of("undismiss").click()
    assert panel.asked() == [["undismiss"]]


def test_edited_and_used(panel: Panel) -> None:
    """E opens the text with the focus in it, Escape leaves it as it was; keys of cards are letters there; using it tells the new text."""
    panel.open("listening")
    panel.cards.first.focus()
    press(panel, "e")
    assert panel.focused() == "voice-assist-edit"
    press(panel, "Escape")
    assert panel.focused() == NEWEST
    press(panel, "e")
    panel.page.keyboard.type(" xci+-")
    press(panel, "Home", "ArrowDown")
    assert panel.focused() == "voice-assist-edit"
    panel.page.get_by_role("button", name="Insert this").click()
    [(command, identity, text, how)] = panel.asked()
    assert (command, identity, how) == ("editedAndUsed", NEWEST, "insert")
    assert text.endswith("school email address. xci+-")
    assert panel.focused() == NEWEST


def test_edited_but_not_changed(panel: Panel) -> None:
    """The same text is copied, not counted as edited; an empty one is not used."""
    panel.open("listening")
    panel.of("edit").first.click()
    panel.page.get_by_role("button", name="Copy this").click()
    assert panel.asked() == [["copy", NEWEST]]
    panel.of("edit").first.click()
    panel.page.locator("textarea").fill("  ")
    panel.page.get_by_role("button", name="Copy this").click(force=True)
    assert panel.asked() == []
    expect(panel.page.locator("textarea")).to_be_visible()


def test_not_helpful_and_why(panel: Panel) -> None:
    """It counts at once; a reason can follow, and need not."""
    panel.open("listening")
    panel.of("notHelpful").first.click()
    assert panel.asked() == [["notHelpful", NEWEST]]
    expect(panel.of("notHelpful").first).to_have_attribute("aria-pressed", "true")
    panel.of("reasons").get_by_role("button", name="Too late").click()
    assert panel.asked() == [["notHelpful", NEWEST, "tooLate"]]
    expect(panel.of("reasons")).to_have_count(0)
    expect(panel.cards.first).to_contain_text("Thank you")


def test_an_older_cards_buttons_come_with_the_mouse_and_move_nothing(panel: Panel) -> None:
    """Hovering shows them in the line of the time."""
    panel.open("listening")
    below = panel.top("1-item_2")
    card = panel.cards.nth(2)
    assert card.get_by_role("button").count() == 1
    card.hover()
    expect(card.get_by_role("button")).to_have_count(6)
    assert panel.top("1-item_2") == below


def test_an_older_cards_actions_without_a_mouse_over_it(panel: Panel) -> None:
    """A screen reader's click on "Actions" shows them and goes to the first."""
    panel.open("listening")
    panel.page.get_by_role("button", name="Actions: Do you deliver to parcel lockers?").dispatch_event("click")
    assert panel.focused() == "voice-assist-copy"


def test_keys_anywhere(panel: Panel) -> None:
    """Ctrl+Shift and a digit that neither Flex nor a browser has; they do what the panel offers, to the newest finished suggestion."""
    panel.open("draft")
    panel.page.get_by_test_id("hang-up").focus()
    for digit, asked in {
        "2": ["copy", "1-item_4"],
        "3": ["insert", "1-item_4"],
        "5": ["helpful", "1-item_4"],
        "6": ["notHelpful", "1-item_4"],
        "7": ["stop"],
        "8": ["pause"],
        "4": ["dismiss", "1-item_4"],
    }.items():
        assert digit not in FLEX_KEYS
        press(panel, f"Control+Shift+Digit{digit}")
        assert panel.asked() == [asked], digit
    assert panel.focused() == "hang-up"
    panel.open("not-configured")
    for digit in "2345678":
        press(panel, f"Control+Shift+Digit{digit}")
    assert panel.asked() == []


def test_to_the_panel_and_back(panel: Panel) -> None:
    """One key leads to the newest card, or to the transcript, and back to where the agent was."""
    panel.open("listening")
    for tab, place in (("suggestions", NEWEST), ("transcript", "voice-assist-transcript")):
        panel.of(f"tab-{tab}").click()
        panel.page.get_by_test_id("hang-up").focus()
        press(panel, "Control+Shift+Digit9")
        assert panel.focused() == place
        press(panel, "Control+Shift+Digit9")
        assert panel.focused() == "hang-up"


def test_the_keys_are_listed(panel: Panel) -> None:
    """All of them, in the panel's language; a supervisor sees those that work for one."""
    panel.open("listening", language="de")
    panel.of("keys").click()
    region = panel.page.get_by_role("region", name="Tastenkürzel")
    expect(region).to_contain_text("Strg+Umschalt+2")
    assert region.locator("kbd").count() == 16
    panel.open("supervisor")
    panel.of("keys").click()
    assert panel.page.get_by_role("region", name="Keyboard shortcuts").locator("kbd").count() == 10


def test_tabs_by_arrows(panel: Panel) -> None:
    """As every list of tabs."""
    panel.open("listening")
    panel.of("tab-suggestions").focus()
    press(panel, "ArrowRight")
    assert panel.focused() == "voice-assist-tab-transcript"
    expect(panel.of("transcript")).to_be_visible()
    press(panel, "ArrowRight")
    expect(panel.of("list")).to_be_visible()


def test_a_supervisor_reads_only(panel: Panel) -> None:
    """No start, stop, pause or verdict, by no button and no key; copying is reading."""
    panel.open("supervisor")
    expect(panel.of("panel")).to_contain_text("Read only")
    assert panel.of("button").count() == 0
    for name in ("start", "stop", "pause", "resume", "helpful", "notHelpful", "edit"):
        assert panel.of(name).count() == 0, name
    panel.cards.first.focus()
    press(panel, "+", "-", "e", "Control+Shift+Digit5", "Control+Shift+Digit6", "Control+Shift+Digit7", "Control+Shift+Digit8")
    assert panel.asked() == []
    press(panel, "c")
    assert panel.asked() == [["copy", "1-item_3"]]


def test_a_command_under_way_is_not_asked_twice(panel: Panel) -> None:
    """Its button says so and keeps the focus; when it is done, the other command takes its place there."""
    panel.open("listening")
    panel.of("pause").focus()
    press(panel, "Enter")
    assert panel.asked() == [["pause"]]
    panel.show("{busy: 'pause'}")
    expect(panel.of("pause")).to_have_text("Pausing…")
    press(panel, "Enter", "Control+Shift+Digit8")
    assert panel.asked() == []
    panel.show("{busy: null, status: {state: 'paused', byHold: false}, permitted: {...view.permitted, pause: false, resume: true}}")
    assert panel.focused() == "voice-assist-resume"


def test_the_calls_own_button(panel: Panel) -> None:
    """Start and stop among the call's buttons: named by what it does, or by the state where it can do nothing."""
    for state, name, asked in (
        ("off", "Voice assist: Start", [["start"]]),
        ("listening", "Voice assist: Stop", [["stop"]]),
        ("not-configured", "Voice assist: Not set up", []),
    ):
        button = panel.open(state).of("button")
        expect(button).to_have_accessible_name(name)
        button.click(force=True)
        assert panel.asked() == asked


def test_failures_have_a_way_out(panel: Panel) -> None:
    """Words, advice, what the server said and a button; where only others can help, no button."""
    panel.open("failed-with-list")
    expect(panel.of("notice")).to_contain_text(re.compile(r"no longer hears the call.*From the server.*31921", re.DOTALL))
    panel.of("retry").click()
    assert panel.asked() == [["retry"]]
    panel.open("failed-signed-out")
    expect(panel.of("retry")).to_have_text("Sign in again")
    panel.open("failed-no-button")
    expect(panel.of("retry")).to_have_count(0)


def test_a_pause_that_failed_is_loud(panel: Panel) -> None:
    """The agent must see that the call is still being sent, can ask again, and can take the message away."""
    panel.open("alert-pause")
    expect(panel.of("alert")).to_contain_text("STILL being sent")
    panel.of("alert").get_by_role("button", name="Try again").click()
    assert panel.asked() == [["pause"]]
    panel.of("alert").get_by_role("button", name="Close").click()
    expect(panel.of("alert")).to_have_count(0)
