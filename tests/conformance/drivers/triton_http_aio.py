"""tritonclient.http.aio: the asynchronous client. It accepts gzip, deflate and br on every request it makes."""

import asyncio

import tritonclient.http.aio as module

import triton_manage_calls  # noqa: F401
import triton_infer_calls  # noqa: F401
import triton_http_calls  # noqa: F401
from harness import call, run
from triton_client import Triton, affine, is_equal, row


@call
async def infer_at_once(t):
    """Several requests at once over one client."""
    for found in await asyncio.gather(*(affine(t) for _ in range(8))):
        is_equal(found.as_numpy("y"), row(2, 5, 8, 11))


async def connect(place):
    return Triton(module, module.InferenceServerClient(place.http), is_http=True)


if __name__ == "__main__":
    run(["tritonclient"], connect)
