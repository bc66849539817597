from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from voiceassist_sim.twilio.streams import sign

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20)


def test_it_gives_the_known_vector():
    assert sign("authtok", "wss://relay.example.com/media") == "5RyyovjKfuKsQz9D1epgpo/HUxI="


@settings(deadline=None)
@given(token=st.text(min_size=1), path=NAMES, form=st.dictionaries(NAMES, st.text(), max_size=8))
def test_twilios_own_package_accepts_it_for_every_form(token, path, form):
    url = f"https://relay.example.com/{path}"
    assert RequestValidator(token).validate(url, form, sign(token, url, form))


def test_scheme_and_path_and_key_and_form_all_matter():
    base = sign("key", "wss://relay.example.com/ws/1", {"a": "b"})
    others = [
        sign("key", "https://relay.example.com/ws/1", {"a": "b"}),
        sign("key", "wss://relay.example.com/ws/2", {"a": "b"}),
        sign("kez", "wss://relay.example.com/ws/1", {"a": "b"}),
        sign("key", "wss://relay.example.com/ws/1", {"a": "c"}),
        sign("key", "wss://relay.example.com/ws/1"),
    ]
    assert base not in others
    assert len(set(others)) == len(others)
