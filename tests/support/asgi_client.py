"""A client of an application in the same process, whose background tasks run while a request is answered."""

import asyncio
from contextlib import AsyncExitStack, contextmanager

import httpx


class Client:
    """Sends requests, one at a time."""

    def __init__(self, runner, inner):
        self._runner, self._inner = runner, inner

    def request(self, method, path, **options):
        return self._runner.run(self._inner.request(method, path, **options))

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)


@contextmanager
def client_of(app, url):
    """Yield a client of an application that has started."""
    stack = AsyncExitStack()
    transport = httpx.ASGITransport(app)

    async def start():
        await stack.enter_async_context(app.router.lifespan_context(app))
        return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=url))

    with asyncio.Runner() as runner:
        yield Client(runner, runner.run(start()))
        runner.run(stack.aclose())


async def chunks(*parts):
    """Yield the parts of a body."""
    for part in parts:
        yield part
