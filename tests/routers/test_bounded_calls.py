"""Calls that may hang: a time-out for each, and never more threads than places."""

import threading

import pytest

from experiments.routers.bounded_pool import BoundedCalls, CallTimeoutError


def router_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "router-call"]


def let_them_return(let_go: threading.Event) -> None:
    let_go.set()
    for thread in router_threads():
        thread.join(30)


def test_it_returns_the_result() -> None:
    assert BoundedCalls(2).run(lambda: 0.25, timeout=5) == 0.25


def test_an_exception_is_raised_where_the_caller_waits() -> None:
    def fails() -> float:
        raise KeyError("gpt-9")

    with pytest.raises(KeyError, match="gpt-9"):
        BoundedCalls(2).run(fails, timeout=5)


def test_a_time_out_error_of_the_call_itself_is_not_taken_for_a_hanging_call() -> None:
    def fails() -> float:
        raise TimeoutError("upstream")

    calls = BoundedCalls(1)
    with pytest.raises(TimeoutError, match="upstream"):
        calls.run(fails, timeout=5)
    assert calls.run(lambda: 1.0, timeout=5) == 1.0


def test_a_hanging_call_times_out_and_its_place_comes_back_when_it_returns() -> None:
    calls, let_go = BoundedCalls(1), threading.Event()
    with pytest.raises(CallTimeoutError, match=r"No answer within 0\.01 s"):
        calls.run(lambda: let_go.wait(30), timeout=0.01)
    let_them_return(let_go)
    assert calls.run(lambda: 0.5, timeout=30) == 0.5


def test_hanging_calls_do_not_pile_up_threads() -> None:
    calls, let_go = BoundedCalls(2), threading.Event()
    before = len(router_threads())
    for _ in range(2):
        with pytest.raises(CallTimeoutError, match="No answer"):
            calls.run(lambda: let_go.wait(30), timeout=0.01)
    for _ in range(20):
        with pytest.raises(CallTimeoutError, match="2 earlier calls still hang"):
            calls.run(lambda: let_go.wait(30), timeout=30)
    assert len(router_threads()) - before == 2
    let_them_return(let_go)


def test_a_call_waits_for_a_place_no_longer_than_its_time_out() -> None:
    calls, let_go, started = BoundedCalls(1), threading.Event(), threading.Event()

    def slow() -> bool:
        started.set()
        return let_go.wait(30)

    first = threading.Thread(target=calls.run, args=(slow, 30))
    first.start()
    started.wait(30)
    with pytest.raises(CallTimeoutError, match=r"No free place within 0\.01 s"):
        calls.run(lambda: 1.0, timeout=0.01)
    let_go.set()
    first.join(30)


def test_a_reset_frees_all_places() -> None:
    calls, let_go = BoundedCalls(1), threading.Event()
    with pytest.raises(CallTimeoutError):
        calls.run(lambda: let_go.wait(30), timeout=0.01)
    calls.reset()
    assert calls.run(lambda: 1.0, timeout=30) == 1.0
    let_them_return(let_go)
