"""tritonclient.http: the blocking client."""

import tritonclient.http as module

import triton_manage_calls  # noqa: F401
import triton_infer_calls  # noqa: F401
import triton_http_calls  # noqa: F401
from harness import call, run, same
from triton_client import Triton, is_equal, row


@call
async def async_infer(t):
    """async_infer answers through its handle, several at once."""
    asked = [t.input("x", row(1, 2, 3, 4), "FP32")]
    handles = [t.client.async_infer("affine", asked, request_id=str(n)) for n in range(4)]
    for n, handle in enumerate(handles):
        found = handle.get_result()
        is_equal(found.as_numpy("y"), row(2, 5, 8, 11))
        same(found.get_response()["id"], str(n))


@call
async def bodies_made_by_hand(t):
    """generate_request_body and parse_response_body work with a plain HTTP library."""
    import http.client

    client = module.InferenceServerClient
    body, header_length = client.generate_request_body([t.input("x", row(1, 2, 3, 4), "FP32")])
    connection = http.client.HTTPConnection(t.address)
    headers = {"Inference-Header-Content-Length": str(header_length)}
    connection.request("POST", "/v2/models/affine/infer", body=body, headers=headers)
    answer = connection.getresponse()
    length = answer.getheader("Inference-Header-Content-Length")
    found = client.parse_response_body(answer.read(), header_length=int(length))
    is_equal(found.as_numpy("y"), row(2, 5, 8, 11))


def connect(place):
    client = module.InferenceServerClient(place.http, concurrency=4)
    triton = Triton(module, client, is_http=True)
    triton.address = place.http
    return triton


if __name__ == "__main__":
    run(["tritonclient"], connect)
