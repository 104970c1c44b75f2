"""kserve's InferenceRESTClient, with its protocols v2 and v1. It reads answers with orjson, so NaN must be null."""

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

import values
from harness import Absent, call, check, fails_later, run, same


class Client:
    def __init__(self, place):
        self.url = place.url
        self.v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
        self.v1 = InferenceRESTClient(RESTConfig(protocol="v1"))

    async def close(self):
        await self.v2.close()
        await self.v1.close()


def request(model, datatype, array, is_binary, **named):
    described = InferInput("x", list(array.shape), datatype)
    described.set_data_from_numpy(array, binary_data=is_binary)
    return InferRequest(model, [described], **named)


def affine(is_binary=False, **named):
    return request("affine", "FP32", np.array([[1, 2, 3, 4]], dtype=np.float32), is_binary, **named)


@call
async def server_live(client):
    """is_server_live reads `live` from the JSON body."""
    same(await client.v2.is_server_live(client.url), True)


@call
async def server_ready(client):
    """is_server_ready reads `ready` from the JSON body."""
    same(await client.v2.is_server_ready(client.url), True)


@call
async def model_ready(client):
    """is_model_ready is true, and false for an unknown model."""
    same(await client.v2.is_model_ready(client.url, "affine"), True)
    same(await client.v2.is_model_ready(client.url, "nobody"), False)


@call
async def infer(client):
    """infer with JSON tensors; the id comes back."""
    found = await client.v2.infer(client.url, affine(request_id="7"), model_name="affine")
    same((found.model_name, found.id), ("affine", "7"))
    same(found.outputs[0].as_numpy().tolist(), [[2.0, 5.0, 8.0, 11.0]])


@call
async def infer_binary(client):
    """infer with binary tensors."""
    asked = affine(is_binary=True)
    asked.parameters = {"binary_data_output": True}
    headers = {}
    found = await client.v2.infer(client.url, asked, model_name="affine", response_headers=headers)
    same(found.outputs[0].as_numpy().tolist(), [[2.0, 5.0, 8.0, 11.0]])
    check("inference-header-content-length" in {name.lower() for name in headers}, headers)


@call
async def infer_fp16(client):
    """FP16 goes in binary."""
    array = np.array(values.VALUES["FP16"], dtype=np.float16).reshape(values.SHAPE)
    asked = request("identity_fp16", "FP16", array, is_binary=True)
    asked.parameters = {"binary_data_output": True}
    found = await client.v2.infer(client.url, asked, model_name="identity_fp16")
    same(found.outputs[0].as_numpy().tolist(), array.tolist())


@call
async def infer_each_data_type(client):
    """Every type it can send as JSON comes back bit by bit."""
    for datatype, elements in values.VALUES.items():
        if datatype in ("FP16", "BF16"):
            continue
        numpy_type = {"BOOL": "bool", "FP32": "float32", "FP64": "float64"}.get(datatype, datatype.lower())
        array = np.array(elements, dtype=numpy_type).reshape(values.SHAPE)
        model = values.identity(datatype)
        found = await client.v2.infer(client.url, request(model, datatype, array, False), model_name=model)
        same((datatype, found.outputs[0].as_numpy().tolist()), (datatype, array.tolist()))
    array = np.array([text.encode() for text in values.TEXTS], dtype=object).reshape(values.SHAPE)
    asked = request("identity_bytes", "BYTES", array, False)
    found = await client.v2.infer(client.url, asked, model_name="identity_bytes")
    same(list(found.outputs[0].data), values.TEXTS)


@call
async def infer_non_finite(client):
    """NaN in an answer is null, which orjson can read."""
    array = np.array([[np.nan, 1.0]], dtype=np.float32)
    asked = request("identity_fp32", "FP32", array, is_binary=True)
    found = await client.v2.infer(client.url, asked, model_name="identity_fp32")
    check(np.isnan(found.outputs[0].as_numpy()[0, 0]), found.outputs[0].data)


@call
async def served_version(client):
    """The client drops model_version, so a header says it too."""
    headers = {}
    await client.v2.infer(client.url, affine(), model_name="affine", response_headers=headers)
    same({name.lower(): value for name, value in headers.items()}["switchrail-version"], "2")


@call
async def mistakes_are_named(client):
    """The client shows the gateway's own words for a mistake."""
    short = InferRequest("affine", [InferInput("x", [1, 4], "FP32", data=[1.0, 2.0, 3.0])])
    await fails_later(client.v2.infer(client.url, short, model_name="affine"), "400", "x")
    await fails_later(client.v2.infer(client.url, affine(), model_name="nobody"), "404", "nobody")


@call
async def v1_model_ready(client):
    """Protocol v1: is_model_ready reads `ready`."""
    same(await client.v1.is_model_ready(client.url, "affine"), True)


@call
async def v1_predict(client):
    """Protocol v1: infer posts instances and reads predictions."""
    found = await client.v1.infer(client.url, {"instances": [[1, 2, 3, 4]]}, model_name="affine")
    same(found["predictions"], [[2.0, 5.0, 8.0, 11.0]])


@call
async def v1_server_live(client):
    """Protocol v1: the root says alive."""
    try:
        same(await client.v1.is_server_live(client.url), True)
    except AttributeError as error:
        raise AssertionError(f"the root answers 200 without a status: {error}") from error
    except Exception as error:
        check("404" in str(error), error)
        raise Absent("nothing is at the root; /v2/health/live says it") from None


@call
async def v1_explain(client):
    """Protocol v1: an explanation of a prediction."""
    asked = client.v1.explain(client.url, "affine", {"instances": [[1, 2, 3, 4]]})
    await fails_later(asked, "40")
    raise Absent("the gateway has no explainers")


if __name__ == "__main__":
    run(["kserve"], Client)
