"""Run the users of an asyncio sender, each of which sends again when its answer is there, and measure them."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

from support.measured_interval import SETTLE_S, MeasuredInterval, write

EXECUTE_URL = f"{os.environ['COST_URL']}/execute"
BODY = Path(os.environ["COST_BODY"]).read_bytes()


async def measure(exchange: Callable[[], Awaitable[bool]]) -> None:
    """Run as many users as the benchmark says, measure them, and write the figures."""
    done = failed = 0

    async def user() -> None:
        nonlocal done, failed
        while True:
            failed += not await exchange()
            done += 1

    users = [asyncio.create_task(user()) for _ in range(int(os.environ["COST_USERS"]))]
    await asyncio.sleep(SETTLE_S)
    interval = MeasuredInterval(done, failed)
    await asyncio.wait(users, timeout=float(os.environ["COST_SECONDS"]), return_when=asyncio.FIRST_EXCEPTION)
    figures = interval.figures(done, failed)
    for ended in [task for task in users if task.done()]:
        ended.result()
    for task in users:
        task.cancel()
    await asyncio.gather(*users, return_exceptions=True)
    write(figures)


def run(program: Coroutine[None, None, None]) -> None:
    """Run a sender's program."""
    asyncio.run(program)
