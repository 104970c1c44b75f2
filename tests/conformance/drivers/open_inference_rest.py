"""open-inference-openapi: the protocol's own client, generated from its OpenAPI document. JSON only."""

import struct

from open_inference.openapi import InferenceRequest, NotFoundError, RequestInput, RequestOutput
from open_inference.openapi.client import AsyncOpenInferenceClient, OpenInferenceClient

import values
from harness import call, check, fails, run, same


class Client:
    def __init__(self, place):
        self.blocking = OpenInferenceClient(base_url=place.url)
        self.later = AsyncOpenInferenceClient(base_url=place.url)


def request(datatype, data, shape, name="x", **named):
    return InferenceRequest(inputs=[RequestInput(name=name, shape=shape, datatype=datatype, data=data)], **named)


def affine():
    return request("FP32", [1, 2, 3, 4], [1, 4])


def data(answer, output=0):
    return answer.outputs[output].data.__root__


@call
def server_live(client):
    """check_server_liveness raises nothing."""
    client.blocking.check_server_liveness()


@call
def server_ready(client):
    """check_server_readiness raises nothing."""
    client.blocking.check_server_readiness()


@call
def model_ready(client):
    """check_model_readiness and check_model_version_readiness raise nothing."""
    client.blocking.check_model_readiness("affine")
    client.blocking.check_model_version_readiness("affine", "1")


@call
def unknown_model_is_not_found(client):
    """An unknown model is the client's NotFoundError."""
    try:
        client.blocking.check_model_readiness("nobody")
    except NotFoundError as error:
        check("nobody" in str(error.body), error)
        return
    check(False, "no error")


@call
def server_metadata(client):
    """read_server_metadata has name, version and extensions."""
    found = client.blocking.read_server_metadata()
    check(found.name and found.version and found.extensions, found)


@call
def model_metadata(client):
    """read_model_metadata and read_model_version_metadata parse."""
    found = client.blocking.read_model_metadata("affine")
    same((found.name, found.inputs[0].name, found.inputs[0].shape), ("affine", "x", [-1, 4]))
    same(client.blocking.read_model_version_metadata("affine", "1").versions, ["1"])


@call
def infer(client):
    """model_infer answers, with id and version."""
    found = client.blocking.model_infer("affine", request=request("FP32", [1, 2, 3, 4], [1, 4], id="7"))
    same((found.model_name, found.model_version, found.id), ("affine", "2", "7"))
    same(data(found), [2.0, 5.0, 8.0, 11.0])


@call
def infer_a_version(client):
    """model_version_infer pins the version."""
    found = client.blocking.model_version_infer("affine", "1", request=affine())
    same((found.model_version, data(found)), ("1", [3.0, 5.0, 7.0, 9.0]))


@call
def infer_nested_data(client):
    """Data may be nested as its shape is."""
    found = client.blocking.model_infer("affine", request=request("FP32", [[1, 2, 3, 4], [0, 0, 0, 0]], [2, 4]))
    same(data(found), [2.0, 5.0, 8.0, 11.0, -1.0, -1.0, -1.0, -1.0])


def echoed(client, datatype, elements):
    asked = request(datatype, elements, values.SHAPE)
    return data(client.blocking.model_infer(values.identity(datatype), request=asked))


@call
def infer_floats_and_texts(client):
    """FP32, FP64 and BYTES come back."""
    # An FP32 comes as the shortest text that means it, and the client reads that as a double.
    for datatype, packed in [("FP32", "<4f"), ("FP64", "<4d")]:
        elements = values.VALUES[datatype]
        same(struct.pack(packed, *echoed(client, datatype, elements)), struct.pack(packed, *elements))
    same(echoed(client, "BYTES", values.TEXTS), values.TEXTS)


@call
def infer_integers(client):
    """Integers come back as far as doubles hold them: the client turns each number into one and sends 3 as 3.0."""
    for datatype in ["UINT8", "UINT16", "UINT32", "INT8", "INT16", "INT32"]:
        same((datatype, echoed(client, datatype, values.VALUES[datatype])), (datatype, values.VALUES[datatype]))
    for datatype in ["UINT64", "INT64"]:
        same(echoed(client, datatype, [0, 1, 2, 2**40]), [0, 1, 2, 2**40])


@call
def infer_chosen_outputs(client):
    """Outputs can be named, with parameters of the request."""
    asked = request(
        "FP32", [1, 2, 3, 4], [1, 4], outputs=[RequestOutput(name="y")], parameters={"tenant": "acme", "attempt": 2}
    )
    found = client.blocking.model_infer("affine", request=asked)
    same([(o.name, o.data.__root__) for o in found.outputs], [("y", [2.0, 5.0, 8.0, 11.0])])


@call
def mistakes_are_named(client):
    """A mistake is a BadRequestError that names it."""
    wrong = request("FP32", [1, 2, 3], [1, 4])
    fails(lambda: client.blocking.model_infer("affine", request=wrong), "BadRequestError", "x")
    unknown = request("FP32", [1, 2, 3, 4], [1, 4], name="wrong")
    fails(lambda: client.blocking.model_infer("affine", request=unknown), "BadRequestError", "wrong")


@call
async def asynchronous_client(client):
    """The asynchronous client does the same."""
    await client.later.check_server_readiness()
    same((await client.later.read_model_metadata("affine")).name, "affine")
    same(data(await client.later.model_infer("affine", request=affine())), [2.0, 5.0, 8.0, 11.0])


if __name__ == "__main__":
    run(["open-inference-openapi"], Client)
