"""kserve's InferenceGRPCClient. It is asynchronous and tries again, up to three times, what is UNAVAILABLE."""

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

import values
from harness import call, fails_later, run, same


def request(model, datatype, array, is_raw, **named):
    described = InferInput("x", list(array.shape), datatype)
    if is_raw:
        described.set_data_from_numpy(array, binary_data=True)
    else:
        described.data = array.flatten().tolist()
    return InferRequest(model, [described], **named)


def affine(is_raw=True, **named):
    return request("affine", "FP32", np.array([[1, 2, 3, 4]], dtype=np.float32), is_raw, **named)


@call
async def server_live(client):
    """is_server_live is true."""
    same(await client.is_server_live(), True)


@call
async def server_ready(client):
    """is_server_ready is true."""
    same(await client.is_server_ready(), True)


@call
async def model_ready(client):
    """is_model_ready is true; an unknown model is NOT_FOUND."""
    same(await client.is_model_ready("affine"), True)
    await fails_later(client.is_model_ready("nobody"), "NOT_FOUND")


@call
async def infer_raw_contents(client):
    """infer with raw contents; id and version come back."""
    found = await client.infer(affine(request_id="7"))
    same((found.model_name, found.model_version, found.id), ("affine", "2", "7"))
    same(found.outputs[0].as_numpy().tolist(), [[2.0, 5.0, 8.0, 11.0]])


@call
async def infer_typed_contents(client):
    """infer with typed contents; answers are raw all the same."""
    found = await client.infer(affine(is_raw=False))
    same(found.outputs[0].as_numpy().tolist(), [[2.0, 5.0, 8.0, 11.0]])


@call
async def infer_each_data_type(client):
    """Every type it knows comes back bit by bit, FP16 included."""
    for datatype, elements in values.VALUES.items():
        if datatype == "BF16":
            continue
        short = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
        array = np.array(elements, dtype=short.get(datatype, datatype.lower())).reshape(values.SHAPE)
        found = await client.infer(request(values.identity(datatype), datatype, array, True))
        same((datatype, found.outputs[0].as_numpy().tolist()), (datatype, array.tolist()))
    array = np.array(values.BLOBS, dtype=object).reshape(values.SHAPE)
    found = await client.infer(request("identity_bytes", "BYTES", array, True))
    same(found.outputs[0].as_numpy().flatten().tolist(), values.BLOBS)


@call
async def metadata_routes(client):
    """A header decides the version where a rule says so."""
    found = await client.infer(affine(), headers=(("x-tenant", "acme"),))
    same((found.model_version, found.outputs[0].as_numpy().tolist()), ("1", [[3.0, 5.0, 7.0, 9.0]]))


@call
async def mistakes_are_named(client):
    """A mistake is INVALID_ARGUMENT with the gateway's words, and is not tried again."""
    wrong = request("affine", "FP32", np.array([[1, 2, 3]], dtype=np.float32), True)
    await fails_later(client.infer(wrong), "INVALID_ARGUMENT", "x")


async def connect(place):
    return InferenceGRPCClient(place.grpc)


if __name__ == "__main__":
    run(["kserve", "grpcio"], connect)
