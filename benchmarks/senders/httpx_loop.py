"""Send with httpx's AsyncClient, its pool without limits: a task a connection, nothing recorded."""

import httpx
import loop


async def main() -> None:
    """Post the body on as many connections as the benchmark says, and parse each answer."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(limits=limits, timeout=60, headers=headers, trust_env=False) as client:

        async def exchange() -> bool:
            response = await client.post(loop.EXECUTE_URL, content=loop.BODY)
            return response.status_code == 200 and not response.json()["errors"]

        await loop.measure(exchange)


loop.run(main())
