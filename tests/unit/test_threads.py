"""What a task waits for when it is cancelled: its thread's present step, and the end of its own work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from embedpipe import AsyncBatchProcessor, Document, EmbeddingGenerator
from embedpipe._threads import cancelled_once, check_stopped, in_thread
from embedpipe.embedding import Limits
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors


class Gate:
    """Where a thread waits until it is let go."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.opened = threading.Event()
        self.left = False

    def wait(self) -> None:
        self.arrived.set()
        assert self.opened.wait(30)
        self.left = True

    async def reached(self) -> None:
        await asyncio.to_thread(self.arrived.wait, 30)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


async def ends_with_its_thread(task: asyncio.Task[object], gate: Gate, *, times: int = 3) -> None:
    """The task is cancelled, again and again, but only when its thread has left the gate."""
    await gate.reached()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.left


async def test_a_cancelled_task_waits_for_its_thread(gate: Gate) -> None:
    await ends_with_its_thread(asyncio.create_task(in_thread(gate.wait)), gate)


async def test_between_two_steps_a_thread_ends_that_nobody_waits_for(gate: Gate) -> None:
    steps = []

    def work() -> None:
        for step in range(3):
            check_stopped()
            gate.wait()
            steps.append(step)

    await ends_with_its_thread(asyncio.create_task(in_thread(work)), gate)
    assert steps == [0]


async def test_what_fails_after_its_task_was_cancelled_is_reported_nowhere(gate: Gate) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def fail() -> None:
        gate.wait()
        raise ValueError

    await ends_with_its_thread(asyncio.create_task(in_thread(fail)), gate)
    assert reported == []


async def test_what_has_not_begun_is_not_run_and_not_waited_for(gate: Gate) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    blocking = asyncio.create_task(in_thread(gate.wait))
    await asyncio.sleep(0)
    assert gate.arrived.wait(30)
    ran: list[int] = []
    queued = asyncio.create_task(in_thread(ran.append, 1))
    await asyncio.sleep(0)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    gate.opened.set()
    await blocking
    await in_thread(ran.append, 2)
    assert ran == [2]


async def test_a_timeout_is_one_also_where_it_waits(gate: Gate) -> None:
    asyncio.get_running_loop().call_later(0.05, gate.opened.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(gate.wait)
    assert gate.left


async def test_what_ends_in_order_is_cancelled_once() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)  # a second cancellation would end it here
            ended.append("in order")

    task = asyncio.create_task(cancelled_once(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["in order"]


class Gated(FakeEmbeddingModel):
    """Waits at the gate, and counts who is inside at once."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(8)
        self.gate = gate
        self.inside = self.most = 0

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.gate.wait()
        self.inside -= 1
        return super().embed(texts, kind)


async def test_a_cancelled_call_keeps_its_turn_at_the_model_until_it_has_left(gate: Gate) -> None:
    model = Gated(gate)
    generator = EmbeddingGenerator(model, limits=Limits(concurrency=1))
    first: asyncio.Task[object] = asyncio.create_task(generator.agenerate("one"))
    await gate.reached()
    others = [asyncio.create_task(generator.agenerate(f"other {number}")) for number in range(3)]
    await ends_with_its_thread(first, gate)
    await asyncio.gather(*others)
    assert model.most == 1


@pytest.mark.parametrize("end", ["cancelled", "left"])
async def test_the_source_is_asked_for_no_further_document(gate: Gate, end: str) -> None:
    """Of a plain iterable, whose thread may be waiting for a document when nobody wants it any more."""
    asked: list[int] = []

    def documents() -> Iterator[Document]:
        for number in range(100):
            asked.append(number)
            if number == 50:
                gate.wait()
            yield Document(id=str(number), text=f"text {number}")

    processor = AsyncBatchProcessor(FakeEmbeddingModel(8), batch_documents=10, concurrency=20)

    async def run() -> None:
        async for _ in processor.stream(documents()):
            await gate.reached()
            if end == "left":
                return
            await asyncio.sleep(30)

    task: asyncio.Task[object] = asyncio.create_task(run())
    await gate.reached()
    if end == "cancelled":
        await asyncio.sleep(0.01)
        task.cancel()
    asyncio.get_running_loop().call_later(0.05, gate.opened.set)
    await asyncio.wait([task])
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    assert asked[-1] == 50
