"""tritonclient.grpc: the blocking client."""

import queue

import tritonclient.grpc as module

import triton_manage_calls  # noqa: F401
import triton_infer_calls  # noqa: F401
from harness import call, check, fails, run, same
from triton_client import Triton, is_equal, row

# How long an answer may take to come through a callback.
ANSWER_SECONDS_MAX = 10


def asked(t, *floats):
    return [t.input("x", row(*floats), "FP32")]


@call
async def async_infer(t):
    """async_infer answers through its callback."""
    answers = queue.Queue()
    t.client.async_infer("affine", asked(t, 1, 2, 3, 4), lambda result, error: answers.put((result, error)))
    found, error = answers.get(timeout=ANSWER_SECONDS_MAX)
    same(error, None)
    is_equal(found.as_numpy("y"), row(2, 5, 8, 11))


@call
async def stream(t):
    """A stream answers each request in order, each with its own id and version."""
    answers = queue.Queue()
    t.client.start_stream(lambda result, error: answers.put((result, error)))
    try:
        for n in range(4):
            version = ["2", "1"][n % 2]
            t.client.async_stream_infer("affine", asked(t, n, n, n, n), model_version=version, request_id=str(n))
        for n in range(4):
            found, error = answers.get(timeout=ANSWER_SECONDS_MAX)
            same(error, None)
            same((found.get_response().id, found.get_response().model_version), (str(n), ["2", "1"][n % 2]))
            expected = [3 * n - 1, 2 * n + 1][n % 2]
            is_equal(found.as_numpy("y"), row(*[expected] * 4))
    finally:
        t.client.stop_stream()


@call
async def stream_goes_on_after_a_mistake(t):
    """A mistake is an error of its request; the stream goes on."""
    answers = queue.Queue()
    t.client.start_stream(lambda result, error: answers.put((result, error)))
    try:
        t.client.async_stream_infer("nobody", asked(t, 1, 2, 3, 4))
        _, error = answers.get(timeout=ANSWER_SECONDS_MAX)
        check("nobody" in str(error), error)
        t.client.async_stream_infer("affine", asked(t, 1, 2, 3, 4))
        found, error = answers.get(timeout=ANSWER_SECONDS_MAX)
        same(error, None)
        is_equal(found.as_numpy("y"), row(2, 5, 8, 11))
    finally:
        t.client.stop_stream()


@call
async def stream_of_statuses(t):
    """With the header triton_grpc_error a mistake ends the stream with a status."""
    answers = queue.Queue()
    t.client.start_stream(lambda result, error: answers.put((result, error)), headers={"triton_grpc_error": "true"})
    try:
        t.client.async_stream_infer("nobody", asked(t, 1, 2, 3, 4))
        _, error = answers.get(timeout=ANSWER_SECONDS_MAX)
        same(error.status(), "StatusCode.NOT_FOUND")
    finally:
        t.client.stop_stream()


@call
async def client_timeout(t):
    """gRPC's own deadline ends the wait; one that has time left changes nothing."""
    fails(lambda: t.client.infer("looping", asked(t, 3000, 0, 0, 0), client_timeout=0.2), "DEADLINE_EXCEEDED")
    found = t.client.infer("affine", asked(t, 1, 2, 3, 4), client_timeout=10)
    is_equal(found.as_numpy("y"), row(2, 5, 8, 11))


@call
async def cancelling(t):
    """A request that its caller cancels ends at once, and the channel goes on."""
    answers = queue.Queue()
    context = t.client.async_infer("looping", asked(t, 3000, 0, 0, 0), lambda result, error: answers.put(error))
    context.cancel()
    check("cancelled" in str(answers.get(timeout=ANSWER_SECONDS_MAX)).lower(), "not cancelled")
    is_equal(t.client.infer("affine", asked(t, 1, 2, 3, 4)).as_numpy("y"), row(2, 5, 8, 11))


def connect(place):
    return Triton(module, module.InferenceServerClient(place.grpc), is_http=False)


if __name__ == "__main__":
    run(["tritonclient", "grpcio"], connect)
