"""tritonclient.grpc.aio: the asynchronous client."""

import asyncio

import tritonclient.grpc.aio as module

import triton_manage_calls  # noqa: F401
import triton_infer_calls  # noqa: F401
from harness import call, check, run, same
from triton_client import Triton, affine, is_equal, row


@call
async def infer_at_once(t):
    """Several requests at once over one channel."""
    for found in await asyncio.gather(*(affine(t) for _ in range(8))):
        is_equal(found.as_numpy("y"), row(2, 5, 8, 11))


@call
async def stream(t):
    """stream_infer answers each request in order; a mistake is an error of its request."""
    async def requests():
        for n, model in enumerate(["affine", "nobody", "affine"]):
            yield {
                "model_name": model,
                "inputs": [t.input("x", row(1, 2, 3, 4), "FP32")],
                "request_id": str(n),
            }

    answers = [answer async for answer in t.client.stream_infer(requests())]
    same([error is None for _, error in answers], [True, False, True])
    check("nobody" in str(answers[1][1]), answers[1][1])
    for n in [0, 2]:
        same(answers[n][0].get_response().id, str(n))
        is_equal(answers[n][0].as_numpy("y"), row(2, 5, 8, 11))


async def connect(place):
    return Triton(module, module.InferenceServerClient(place.grpc), is_http=False)


if __name__ == "__main__":
    run(["tritonclient", "grpcio"], connect)
