import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_sim.twilio.errors import TwilioError
from voiceassist_sim.twilio.stream_order import PARAMETER, StreamOrder, read_order

URL = "wss://assist.example.com/ws/CA1"


def test_the_defaults() -> None:
    assert read_order({"Url": URL}) == StreamOrder(url=URL)
    order = read_order({"Url": URL, "Name": "", "StatusCallback": "", "Track": ""})
    assert (order.track, order.name, order.status_callback, order.status_callback_method) == ("inbound_track", None, None, "POST")
    assert [read_order({"Url": URL, "Track": track}).tracks for track in ("inbound_track", "outbound_track", "both_tracks")] == [1, 1, 2]


def test_parameters_in_the_order_of_their_numbers() -> None:
    order = read_order({"Url": URL, "Parameter10.Name": "b", "Parameter10.Value": "2", "Parameter2.Name": "a", "Parameter2.Value": "1"})
    assert list(order.parameters.items()) == [("a", "1"), ("b", "2")]


def test_numbers_from_1_to_99() -> None:
    assert [number for number in range(0, 130) if PARAMETER.fullmatch(f"Parameter{number}.Name")] == list(range(1, 100))
    for name in ("Parameter01.Name", "Parameter1.name", "Parameter1.Extra", "Parameter.Name", "Parameter1Name", "Parameter١.Name"):
        assert PARAMETER.fullmatch(name) is None


@given(st.text(min_size=1), st.text())
def test_name_and_value_are_together_shorter_than_500(name: str, value: str) -> None:
    for padding in (0, 499 - len(name) - len(value), 500 - len(name) - len(value)):
        long = value + "x" * max(0, padding)
        form = {"Url": URL, "Parameter1.Name": name, "Parameter1.Value": long}
        if len(name) + len(long) < 500:
            assert read_order(form).parameters == {name: long}
        else:
            with pytest.raises(TwilioError) as caught:
                read_order(form)
            assert caught.value.code == 20001


@pytest.mark.parametrize(
    "callback", ["assist.example.com/x", "/callbacks", "wss://assist.example.com", "https://", "https://h:99999/", "https://h:0/"]
)
def test_callbacks_are_absolute(callback: str) -> None:
    with pytest.raises(TwilioError) as caught:
        read_order({"Url": URL, "StatusCallback": callback})
    assert caught.value.code == 20001
    assert read_order({"Url": URL, "StatusCallback": "https://assist.example.com/callbacks?x=1"}).status_callback


def test_a_query_may_be_dropped() -> None:
    with pytest.raises(TwilioError) as caught:
        read_order({"Url": f"{URL}?a=1"})
    assert (caught.value.status, caught.value.code) == (400, 31920)
    assert read_order({"Url": f"{URL}?a=1"}, drop_query=True).url == URL
