"""Send with aiohttp and orjson: a task a connection, nothing recorded."""

import aiohttp
import loop
import orjson


async def main() -> None:
    """Post the body on as many connections as the benchmark says, and parse each answer."""
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def exchange() -> bool:
            async with session.post(loop.EXECUTE_URL, data=loop.BODY) as response:
                answer = orjson.loads(await response.read())
                return response.status == 200 and not answer["errors"]

        await loop.measure(exchange)


loop.run(main())
