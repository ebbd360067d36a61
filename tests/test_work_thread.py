import asyncio
import threading
import time

import pytest

from service.work_thread import WorkThread


@pytest.mark.parametrize("still", [0.0, 5.0])
def test_gives_what_work_gives_and_raises_what_it_raises(still: float) -> None:
    async def asked() -> tuple[str, str]:
        thread = WorkThread("tried")
        name = await thread.do(lambda: threading.current_thread().name, stand_still_seconds=still)
        with pytest.raises(ZeroDivisionError) as raised:
            await thread.do(lambda: 1 // 0, stand_still_seconds=still)
        thread.shutdown()
        return name, type(raised.value).__name__

    assert asyncio.run(asked()) == ("tried", "ZeroDivisionError")


def test_the_loop_stands_still_for_so_long_and_no_longer() -> None:
    turns = []

    async def turn() -> None:
        while True:
            turns.append(time.perf_counter())
            await asyncio.sleep(0.001)

    async def asked() -> float:
        thread = WorkThread("tried")
        turning = asyncio.create_task(turn())
        await asyncio.sleep(0)
        began = time.perf_counter()
        await thread.do(lambda: time.sleep(0.3), stand_still_seconds=0.1)
        turning.cancel()
        thread.shutdown()
        return began

    began = asyncio.run(asked())
    during = [at - began for at in turns if began < at < began + 0.29]
    assert during
    assert min(during) >= 0.1


def test_who_was_cancelled_holds_up_nobody() -> None:
    async def asked() -> str:
        thread = WorkThread("tried")
        left = asyncio.create_task(thread.do(lambda: time.sleep(0.05)))
        await asyncio.sleep(0)
        left.cancel()
        after = await thread.do(lambda: "done")
        thread.shutdown()
        return after

    assert asyncio.run(asked()) == "done"


def test_shutdown_waits_for_what_was_asked_and_ends_it() -> None:
    done: list[str] = []

    def work() -> None:
        time.sleep(0.05)
        done.append("work")

    async def asked() -> None:
        thread = WorkThread("tried")
        waiting = asyncio.create_task(thread.do(work))
        await asyncio.sleep(0)
        await asyncio.to_thread(thread.shutdown)
        assert done == ["work"]
        await waiting
        with pytest.raises(RuntimeError):
            await thread.do(lambda: None)

    asyncio.run(asked())
    assert "tried" not in {thread.name for thread in threading.enumerate()}


def test_a_thread_without_work_never_began() -> None:
    thread = WorkThread("tried")
    thread.shutdown()
    assert thread._thread.ident is None


def test_work_whose_loop_is_gone_is_done_all_the_same() -> None:
    thread = WorkThread("tried")
    done = threading.Event()

    def work() -> None:
        time.sleep(0.1)
        done.set()

    async def asked() -> None:
        task = asyncio.create_task(thread.do(work))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(asked())
    assert done.wait(5)
    asyncio.run(thread.do(lambda: None))
    thread.shutdown()


def test_one_that_was_cancelled_after_the_loop_stood_still_ends_no_thread() -> None:
    async def asked() -> str:
        thread = WorkThread("tried")
        slow = asyncio.create_task(thread.do(lambda: time.sleep(0.1), stand_still_seconds=0.02))
        await asyncio.sleep(0.03)
        slow.cancel()
        async with asyncio.timeout(5):
            after = await thread.do(lambda: "done")
        thread.shutdown()
        return after

    assert asyncio.run(asked()) == "done"
