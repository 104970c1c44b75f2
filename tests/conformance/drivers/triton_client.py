"""What the four tritonclients have in common, over HTTP and gRPC, blocking and asynchronous."""

import inspect

import ml_dtypes
import numpy as np

import values
from harness import check, same

NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": ml_dtypes.bfloat16,
}


class Triton:
    """One tritonclient, whichever it is."""

    def __init__(self, module, client, is_http):
        self.module = module
        self.client = client
        self.is_http = is_http
        # Over gRPC, what is no tensor is asked for as JSON.
        self.as_json = {} if is_http else {"as_json": True}

    async def ask(self, method, *arguments, **named):
        """Calls a method, whether it blocks or has to be awaited."""
        found = getattr(self.client, method)(*arguments, **named)
        return await found if inspect.isawaitable(found) else found

    async def tell(self, method, *arguments, **named):
        """Calls a method that answers with a document."""
        return await self.ask(method, *arguments, **self.as_json, **named) or {}

    def input(self, name, array, datatype, is_binary=True):
        """An input with its data."""
        described = self.module.InferInput(name, list(array.shape), datatype)
        if self.is_http:
            return described.set_data_from_numpy(array, binary_data=is_binary)
        return described.set_data_from_numpy(array)

    def output(self, name, is_binary=True, **named):
        """A requested output."""
        encoding = {"binary_data": is_binary} if self.is_http else {}
        return self.module.InferRequestedOutput(name, **encoding, **named)

    def compressed(self, request=None, response=None):
        """How a request and its answer are to be compressed; gRPC knows one word for both."""
        if self.is_http:
            return {"request_compression_algorithm": request, "response_compression_algorithm": response}
        return {"compression_algorithm": request or response}

    def close(self):
        return self.client.close()


def row(*floats):
    return np.array([floats], dtype=np.float32)


async def affine(t, **named):
    """Asks the model whose versions answer 2x + 1 and 3x - 1."""
    return await t.ask("infer", "affine", [t.input("x", row(1, 2, 3, 4), "FP32")], **named)


def is_equal(found, expected):
    """Equal bit by bit, shape and type included."""
    same((found.dtype, found.shape), (expected.dtype, expected.shape))
    check(found.tobytes() == expected.tobytes(), f"expected {expected.tolist()}, got {found.tolist()}")


async def echoed(t, array, datatype, is_binary=True, model=None, **named):
    """Sends an array to the model that answers it unchanged."""
    asked = [t.input("x", array, datatype, is_binary)]
    outputs = [t.output("y", is_binary)]
    model = model or values.identity(datatype)
    return (await t.ask("infer", model, asked, outputs=outputs, **named)).as_numpy("y")
