"""When what is sent, and what a phone makes of the answers."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tech_app.core import line, uplink
from tech_app.core.fix import Fix, read_fix
from tech_app.core.line import Answer, NotNow, NoWay, TooMuch, Unpaired, read_answer
from tech_app.core.outbox import Batch, Facts, Outbox, Row
from tech_app.core.tap import Tap, TapKind, read_tap
from tech_app.core.uplink import Idle, Send, Skew, State, Uplink, Wait, Way, answered, better_skew, failed, next_step
from tech_app.core.websocket_line import WebSocketLine
from tests.support.phone_clock import SetPhoneClock
from tests.support.stream_stub import KEY, StreamStub, streaming

EXAMPLES = Path(__file__).parents[1] / "contract" / "examples"
NOTHING = Facts(0, 0, 0, 0)
A_TAP = Facts(1, 0, 0, 0)
A_FIX = Facts(0, 1, 0, 0)


def test_a_tap_goes_at_once_and_a_lonely_fix_waits() -> None:
    """While no customer waits, fixes are sent together every half minute; a tap or a customer takes them along."""
    state = answered(State(), 100)
    assert next_step(state, NOTHING, 101, followed=True) == Idle()
    assert next_step(state, A_FIX, 101, followed=False) == Wait(29)
    assert next_step(state, A_FIX, 130, followed=False) == Send(Way.websocket, 500)
    assert next_step(state, A_FIX, 101, followed=True) == Send(Way.websocket, 500)
    assert next_step(state, A_TAP, 101, followed=False) == Send(Way.websocket, 500)
    draining = answered(State(), 100, size=500)
    assert next_step(draining, A_FIX, 101, followed=False) == Send(Way.websocket, 500)


def test_http_is_tried_at_once_where_there_is_no_websocket() -> None:
    """... and the WebSocket again after five minutes, or when HTTP fails too."""
    state = failed(State(), Way.websocket, NoWay("426"), 100, 0.5)
    assert next_step(state, A_TAP, 100, followed=False) == Send(Way.http, 500)
    assert next_step(answered(state, 101), A_TAP, 399, followed=False) == Send(Way.http, 500)
    assert next_step(state, A_TAP, 400, followed=False) == Send(Way.websocket, 500)
    away = failed(state, Way.http, NotNow("no network"), 100, 0.5)
    assert next_step(away, A_TAP, 101, followed=False) == Send(Way.websocket, 500)


def test_a_websocket_that_lets_nothing_through_is_left_alone() -> None:
    """A proxy lets it be opened and then swallows everything: the second time plain HTTP is next."""
    once = failed(State(), Way.websocket, NotNow("no answer"), 100, 0.5)
    assert next_step(once, A_TAP, 101, followed=False) == Send(Way.websocket, 500)
    twice = failed(once, Way.websocket, NotNow("no answer"), 121, 0.5)
    assert next_step(twice, A_TAP, 123, followed=False) == Send(Way.http, 500)
    assert next_step(answered(twice, 124), A_TAP, 420, followed=False) == Send(Way.http, 500)
    assert next_step(answered(twice, 124), A_TAP, 422, followed=False) == Send(Way.websocket, 500)


def test_the_backoff_grows_to_two_minutes() -> None:
    """From a second on it doubles; luck spreads it over the whole width."""
    state, widths = State(), []
    for _ in range(12):
        state = failed(state, Way.http, NotNow("no network"), 0, 1.0)
        widths.append(state.not_before_s)
    assert widths == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120]
    assert failed(state, Way.http, NotNow("no network"), 0, 0.25).not_before_s == 30
    assert answered(state, 5).not_before_s == 0


def test_the_service_says_how_long_to_stay_away() -> None:
    """Retry-After is kept, also against a technician's taps; ten minutes at most."""
    state = failed(State(), Way.http, NotNow("503", retry_after_s=40), 100, 0.0)
    assert next_step(uplink.nudged(state), A_TAP, 100, followed=True) == Wait(40)
    state = failed(State(), Way.http, NotNow("503", retry_after_s=86_400), 100, 0.0)
    assert next_step(state, A_TAP, 100, followed=True) == Wait(600)
    assert line.read_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") is None


def test_a_tap_ends_the_backoff() -> None:
    """Whoever taps is not made to wait for two minutes."""
    state = failed(replace(State(), failures=9), Way.http, NotNow("no network"), 100, 1.0)
    assert next_step(state, A_TAP, 100, followed=False) == Wait(120)
    assert next_step(uplink.nudged(state), A_TAP, 100, followed=False) == Send(Way.websocket, 500)


def test_a_body_that_is_too_large_is_halved() -> None:
    """... and grows again with what is taken."""
    state = failed(State(), Way.http, TooMuch("413"), 100, 1.0)
    assert next_step(state, A_TAP, 100, followed=False) == Send(Way.websocket, 250)
    assert answered(state, 101).most == 500


def test_a_phone_that_is_not_paired_asks_seldom() -> None:
    """A lost phone's key was revoked: what it holds stays with it, whoever taps on it."""
    state = uplink.nudged(failed(State(), Way.websocket, Unpaired("401"), 100, 1.0))
    assert not state.paired
    assert next_step(state, A_TAP, 100, followed=True) == Wait(600)
    assert answered(state, 700).paired


ERRORS = st.sampled_from([NotNow("x"), NotNow("x", 5.0), TooMuch("x"), NoWay("x"), NotNow("x", 1e300)])


@given(st.lists(st.tuples(ERRORS, st.sampled_from(Way), st.floats(0, 1), st.floats(0, 1000)), max_size=40))
def test_any_troubles(troubles: list[tuple[Exception, Way, float, float]]) -> None:
    """Whatever went wrong, in ten minutes the next batch is sent, of at least one item."""
    state, now_s = State(), 0.0
    for error, way, luck, later_s in troubles:
        state = failed(state, way, error, now_s, luck)
        now_s += later_s
    step = next_step(state, A_TAP, now_s, followed=False)
    assert isinstance(step, Send) or (isinstance(step, Wait) and step.seconds <= 601)
    last = next_step(state, A_TAP, now_s + 601, followed=False)
    assert isinstance(last, Send)
    assert last.most >= 1


def test_the_quickest_answer_tells_the_skew() -> None:
    """... until a later one contradicts it: somebody set a clock."""
    slow = better_skew(None, 1000, 1010, 1705)
    assert slow == Skew(700, 5)
    exact = better_skew(slow, 2000, 2000.2, 2702.1)
    assert exact == Skew(pytest.approx(702), pytest.approx(0.1))
    assert better_skew(exact, 3000, 3004, 3703) == exact
    assert better_skew(exact, 4000, 4004, 4002) == Skew(0, 2)


def test_a_hotels_page_is_no_answer() -> None:
    """Nothing is forgotten for a 200 with something else in it."""
    for text in ("<html>Log in</html>", "[]", '{"ack": null}', '{"ack": [[1]], "verdicts": {}, "server_time": 1}', ""):
        with pytest.raises(NotNow):
            read_answer(text)


@pytest.mark.parametrize(
    ("ack", "server_time"), [("[[Infinity, 1]]", "1"), ("[[1, 1]]", "NaN"), ("[[1, 1]]", "9" * 400), ("[" * 9000, "1")]
)
def test_no_number_is_no_answer(ack: str, server_time: str) -> None:
    """Python's JSON reads more than JSON, and not all of it can be counted with."""
    with pytest.raises(NotNow):
        read_answer(f'{{"ack": {ack}, "verdicts": {{}}, "server_time": {server_time}}}')


def test_the_examples_are_what_the_phone_speaks() -> None:
    """The message, the answer and the taps that both sides keep to."""
    message = json.loads((EXAMPLES / "stream_message.json").read_text())
    taps = tuple(Row(tap["seq"], as_written(read_tap(json.dumps(tap)), tap["seq"])) for tap in message["taps"])
    fixes = tuple(Row(fix["seq"], as_written(read_fix(json.dumps(fix)), fix["seq"])) for fix in message["fixes"])
    batch = Batch(1, message["stream"], message["sent_at"], taps, fixes)
    assert json.loads(batch.to_json(id=7)) == message
    more = json.loads((EXAMPLES / "job_taps.json").read_text())["taps"]
    assert [json.loads(as_written(read_tap(json.dumps(tap)), tap["seq"])) for tap in more] == more
    answer = read_answer((EXAMPLES / "stream_answer.json").read_text())
    assert answer == Answer(((1, 4),), {4: "jump"}, 1769500100.5)


def as_written(item: Fix | Tap, seq: int) -> str:
    return f'{{"seq":{seq},{item.to_json()[1:]}'


# ---- the loop, over a real WebSocket ----


@pytest.fixture
def clock() -> SetPhoneClock:
    return SetPhoneClock()


@pytest.fixture
def queue(tmp_path: Path, clock: SetPhoneClock) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", clock)
    yield queue
    queue.close()


@pytest.fixture
async def stub(clock: SetPhoneClock) -> AsyncIterator[StreamStub]:
    async with streaming(clock.now) as stub:
        yield stub


class Refusing:
    """A way that is closed."""

    async def exchange(self, batch: Batch) -> Answer:
        raise NotNow("no network")

    async def close(self) -> None:
        pass


def an_uplink(stub: StreamStub, queue: Outbox, clock: SetPhoneClock, key: str = KEY) -> Uplink:
    websocket = WebSocketLine(stub.url, key, None, lambda _: None)
    return Uplink(queue, {Way.websocket: websocket, Way.http: Refusing()}, clock, luck=lambda: 0.5)


async def drain(phone: Uplink, queue: Outbox, most_steps: int = 100) -> int:
    """Steps until the queue is empty; returns how many batches that took."""
    sent = 0
    for _ in range(most_steps):
        if queue.facts().taps + queue.facts().fixes == 0:
            break
        sent += isinstance(await phone.step(), Send)
    await phone._lines[Way.websocket].close()
    return sent


def fill(queue: Outbox, clock: SetPhoneClock, fixes: int) -> None:
    queue.append_tap(Tap(clock.now(), TapKind.shift_start))
    for n in range(fixes):
        queue.append_fix(Fix(clock.now() + n, 41.1496 + n * 1e-5, -8.6109, 8.0, 3.2, 271.0, 94.0, 83.0))


async def test_a_backlog_is_drained(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """The tap first, the newest fix with the first batch, and everything once."""
    fill(queue, clock, 1200)
    assert await drain(an_uplink(stub, queue, clock), queue) == 3
    assert sorted(seq for _, seq in stub.kept) == list(range(1, 1202))
    assert stub.order[0][1] == 1
    assert 1201 in [seq for _, seq in stub.order[:500]]


async def test_a_batch_is_small_on_the_wire(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """At most 40 bytes a fix, in batches of 50 and of 500; a single fix is sent as plain text."""
    fill(queue, clock, 500)
    await drain(an_uplink(stub, queue, clock), queue)
    assert len(stub.messages[0]) <= 40 * 499
    assert isinstance(stub.messages[-1], str)


async def test_a_lost_answer_loses_and_doubles_nothing(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """The service kept the batch and hung up: it is sent again, and answered."""
    stub.lose_answers = 3
    fill(queue, clock, 30)
    phone = an_uplink(stub, queue, clock)
    await drain(phone, queue)
    assert len(stub.messages) == 4
    assert sorted(seq for _, seq in stub.kept) == list(range(1, 32))
    assert phone.trouble is None


async def test_the_service_asks_for_time(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """The refusal of the examples: the phone waits as long as it was told."""
    refusal = json.loads((EXAMPLES / "stream_refusal.json").read_text())
    stub.refuse = lambda id_: refusal if id_ == 1 else None
    fill(queue, clock, 1)
    begun_s = clock.since_boot()
    await drain(an_uplink(stub, queue, clock), queue)
    assert clock.since_boot() - begun_s >= refusal["retry_after"]
    assert len(stub.kept) == 2


@pytest.mark.parametrize("status", ["abc", None, [], 5])
async def test_a_refusal_that_says_nothing(
    stub: StreamStub, queue: Outbox, clock: SetPhoneClock, status: object
) -> None:
    """It is a failure like others, whatever stands in it."""
    stub.refuse = lambda _: {"status": status, "error": "no"}
    fill(queue, clock, 1)
    phone = an_uplink(stub, queue, clock)
    await phone.step()
    assert phone.trouble
    await phone._lines[Way.websocket].close()


async def test_an_empty_acknowledgement_is_a_failure(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """A service that answers and takes nothing is not asked without a pause."""
    stub.refuse = lambda _: {"ack": [[0, 0]], "verdicts": {}, "server_time": clock.now()}
    fill(queue, clock, 3)
    phone = an_uplink(stub, queue, clock)
    assert isinstance(await phone.step(), Send)
    assert isinstance(await phone.step(), Wait)
    assert queue.facts().fixes == 3
    await phone._lines[Way.websocket].close()


async def test_what_nobody_can_read_is_found_and_given_up(
    stub: StreamStub, queue: Outbox, clock: SetPhoneClock
) -> None:
    """One item that makes a body unreadable costs itself: the service has kept it, and the others go on."""
    stub.refuse = lambda _: (
        {"ack": [], "verdicts": {}, "server_time": 1.0, "unreadable": "what?"} if b"41.1499" in last(stub) else None
    )
    fill(queue, clock, 60)
    await drain(an_uplink(stub, queue, clock), queue, 200)
    assert queue.facts().fixes == 0
    assert len(stub.kept) < 61


def last(stub: StreamStub) -> bytes:
    message = stub.messages[-1]
    return message.encode() if isinstance(message, str) else zlib.decompress(message, 31)


async def test_a_revoked_key_ends_the_sending(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """The phone keeps what it has and says that it has to be paired."""
    fill(queue, clock, 3)
    phone = an_uplink(stub, queue, clock, key="org.other")
    assert isinstance(await phone.step(), Send)
    assert not phone.state.paired
    assert isinstance(await phone.step(), Wait)
    assert queue.facts().fixes == 3


async def test_a_service_without_a_stream_is_reached_by_http(
    stub: StreamStub, queue: Outbox, clock: SetPhoneClock
) -> None:
    """The handshake is answered as a service does that has no such route: the next step is HTTP, at once."""
    stub.handshake = HTTPStatus.FORBIDDEN
    fill(queue, clock, 3)
    phone = an_uplink(stub, queue, clock)
    await phone.step()
    assert await phone.step() == Send(Way.http, 500)
    assert phone.trouble == "no network"


async def test_news_reach_the_phone(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """What the service says by itself is handed on: the phone fetches its jobs then."""
    news: list[str] = []
    websocket = WebSocketLine(stub.url, KEY, None, news.append)
    phone = Uplink(queue, {Way.websocket: websocket, Way.http: Refusing()}, clock)
    fill(queue, clock, 1)
    await phone.step()
    await stub.connections[0].send((EXAMPLES / "stream_news.json").read_text())
    await stub.connections[0].send("not json")
    await stub.connections[0].send("{}")
    await stub.connections[0].send('{"id": []}')
    await stub.connections[0].send("[" * 100_000)
    fill(queue, clock, 1)
    await phone.step()
    assert news == ["jobs"]
    await websocket.close()


async def test_a_clock_two_years_wrong_is_known(stub: StreamStub, queue: Outbox, clock: SetPhoneClock) -> None:
    """The service's time shows it, and is what the technician can be told."""
    stub.now = lambda: clock.now() - 63_072_000
    fill(queue, clock, 1)
    phone = an_uplink(stub, queue, clock)
    await drain(phone, queue)
    assert phone.skew is not None
    assert phone.skew.seconds == pytest.approx(-63_072_000, abs=1)
