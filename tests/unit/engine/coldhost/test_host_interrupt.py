import os
import signal
import threading

import pytest

from lab.engine.interrupt import uninterrupted


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []

    def make_and_remember() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("made")
            done.append("remembered")

    with pytest.raises(KeyboardInterrupt):
        make_and_remember()

    assert done == ["made", "remembered"]


def test_afterwards_an_interrupt_strikes_as_before() -> None:
    with uninterrupted():
        pass

    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_two_interrupts_strike_once() -> None:
    strikes = []

    def interrupted_twice() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    try:
        interrupted_twice()
    except KeyboardInterrupt:
        strikes.append("once")

    assert strikes == ["once"]


def test_a_thread_may_use_it_though_signals_are_not_its_business() -> None:
    done: list[str] = []

    def work() -> None:
        with uninterrupted():
            done.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == ["worked"]
