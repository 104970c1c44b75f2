"""What every tritonclient asks models."""

import numpy as np

import values
from harness import Absent, call, check, fails_later, same
from triton_client import NUMPY, affine, echoed, is_equal, row


@call
async def infer(t):
    """The default: inputs binary, all outputs, answered by the version that serves."""
    found = await affine(t)
    is_equal(found.as_numpy("y"), row(2, 5, 8, 11))
    answer = found.get_response()
    name, version = (
        (answer["model_name"], answer["model_version"]) if t.is_http else (answer.model_name, answer.model_version)
    )
    same((name, version), ("affine", "2"))


@call
async def infer_each_data_type(t):
    """Every numeric type comes back bit by bit, FP16 and BF16 included."""
    for datatype, numpy_type in NUMPY.items():
        array = np.array(values.VALUES[datatype]).astype(numpy_type).reshape(values.SHAPE)
        is_equal(await echoed(t, array, datatype), array)


@call
async def infer_bytes(t):
    """BYTES hold anything: nothing, NUL, what is no UTF-8."""
    for elements in [values.BLOBS, [text.encode() for text in values.TEXTS]]:
        array = np.array(elements, dtype=np.object_).reshape(values.SHAPE)
        same((await echoed(t, array, "BYTES")).flatten().tolist(), elements)


@call
async def infer_non_finite(t):
    """NaN and infinities come back where the model's operator allows them."""
    array = np.array([[np.nan, np.inf], [-np.inf, 1.0]], dtype=np.float32)
    is_equal(await echoed(t, array, "FP32"), array)


@call
async def infer_an_image(t):
    """600 KB in one tensor."""
    array = np.arange(values.IMAGE_FLOATS, dtype=np.float32).reshape(1, -1)
    is_equal(await echoed(t, array, "FP32"), array)


@call
async def infer_several_tensors(t):
    """Two inputs and three outputs of two types."""
    a, b = np.array([[1.5, 2.5]], dtype=np.float32), np.array([[3]], dtype=np.int64)
    found = await t.ask("infer", "multi", [t.input("a", a, "FP32"), t.input("b", b, "INT64")])
    is_equal(found.as_numpy("sum"), a + 3)
    is_equal(found.as_numpy("negated"), -a)
    is_equal(found.as_numpy("doubled"), b * 2)


@call
async def infer_chosen_outputs(t):
    """Exactly the requested outputs, in the requested order."""
    a, b = np.array([[1.5, 2.5]], dtype=np.float32), np.array([[3]], dtype=np.int64)
    asked = [t.input("b", b, "INT64"), t.input("a", a, "FP32")]
    outputs = [t.output("doubled"), t.output("sum")]
    answer = (await t.ask("infer", "multi", asked, outputs=outputs)).get_response()
    names = [o["name"] for o in answer["outputs"]] if t.is_http else [o.name for o in answer.outputs]
    same(names, ["doubled", "sum"])


@call
async def infer_a_batch(t):
    """A model with max_batch_size takes a batch."""
    array = np.arange(32, dtype=np.float32).reshape(8, 4)
    is_equal((await t.ask("infer", "batch", [t.input("x", array, "FP32")])).as_numpy("y"), array + 1)


@call
async def infer_an_empty_batch(t):
    """A batch of no rows has an answer of no rows."""
    empty = np.zeros((0, 4), dtype=np.float32)
    same((await t.ask("infer", "affine", [t.input("x", empty, "FP32")])).as_numpy("y").shape, (0, 4))


@call
async def infer_a_version(t):
    """model_version pins the version."""
    is_equal((await affine(t, model_version="1")).as_numpy("y"), row(3, 5, 7, 9))


@call
async def infer_a_label(t):
    """model_version takes a label as well."""
    is_equal((await affine(t, model_version="old")).as_numpy("y"), row(3, 5, 7, 9))


@call
async def odd_version_texts(t):
    """HTTP and gRPC refuse the same texts as versions."""
    for text in ["1.0.0", "01", "0", "latest", "-1"]:
        error = await fails_later(affine(t, model_version=text), text)
        check("INTERNAL" not in error and "500" not in error, error)


@call
async def request_id(t):
    """The id of a request comes back."""
    answer = (await affine(t, request_id="order 66/ß")).get_response()
    same(answer["id"] if t.is_http else answer.id, "order 66/ß")


@call
async def request_parameters(t):
    """priority, timeout and parameters of one's own are taken."""
    own = {"tenant": "acme", "attempt": 2, "is_test": True}
    is_equal((await affine(t, priority=1, timeout=5_000_000, parameters=own)).as_numpy("y"), row(2, 5, 8, 11))


async def slow(t, **named):
    """Asks for so many rounds of a loop that the answer takes seconds."""
    return await t.ask("infer", "looping", [t.input("x", row(3000, 0, 0, 0), "FP32")], **named)


@call
async def deadlines(t):
    """A caller's deadline, as timeout in microseconds or as a header, ends the wait with an error that says so."""
    word = "deadline" if t.is_http else "DEADLINE_EXCEEDED"
    await fails_later(slow(t, timeout=100_000), word)
    await fails_later(slow(t, headers={"switchrail-timeout-ms": "100"}), word)


@call
async def request_headers(t):
    """A header decides the version where a rule says so."""
    is_equal((await affine(t, headers={"x-tenant": "acme"})).as_numpy("y"), row(3, 5, 7, 9))


@call
async def sequences(t):
    """A sequence of requests that belong together."""
    await fails_later(affine(t, sequence_id=7, sequence_start=True), "sequence")
    raise Absent("no model keeps state between requests")


@call
async def classification(t):
    """class_count answers the best as value:index, for each row of a batch."""
    array = np.array([[0.5, 3.0, 2.0, 1.0], [9.0, 1.0, 2.0, 3.0]], dtype=np.float32)
    asked, outputs = [t.input("x", array, "FP32")], [t.output("y", class_count=2)]
    found = (await t.ask("infer", "batch", asked, outputs=outputs)).as_numpy("y")
    same(found.shape, (2, 2))
    parts = [entry.decode().split(":") for entry in found.flatten()]
    same([(float(value), int(index)) for value, index, *_ in parts], [(4.0, 1), (3.0, 2), (10.0, 0), (4.0, 3)])


@call
async def compressed_requests(t):
    """Requests may be compressed with gzip and deflate."""
    for algorithm in ["gzip", "deflate"]:
        is_equal((await affine(t, **t.compressed(request=algorithm))).as_numpy("y"), row(2, 5, 8, 11))
        array = np.arange(values.IMAGE_FLOATS, dtype=np.float32).reshape(1, -1)
        is_equal(await echoed(t, array, "FP32", **t.compressed(request=algorithm)), array)


@call
async def compressed_answers(t):
    """Answers come back whole when gzip or deflate was asked for."""
    for algorithm in ["gzip", "deflate"]:
        is_equal((await affine(t, **t.compressed(response=algorithm))).as_numpy("y"), row(2, 5, 8, 11))
        array = np.arange(values.IMAGE_FLOATS, dtype=np.float32).reshape(1, -1)
        is_equal(await echoed(t, array, "FP32", **t.compressed(algorithm, algorithm)), array)


@call
async def mistakes_are_named(t):
    """Each mistake of a caller is an error that names it; the connection goes on."""
    x = row(1, 2, 3, 4)
    await fails_later(t.ask("infer", "nobody", [t.input("x", x, "FP32")]), "nobody")
    await fails_later(affine(t, model_version="9"), "9")
    await fails_later(t.ask("infer", "affine", [t.input("wrong", x, "FP32")]), "wrong")
    await fails_later(t.ask("infer", "affine", [t.input("x", x.astype(np.float64), "FP64")]), "FP64", "FP32")
    await fails_later(t.ask("infer", "affine", [t.input("x", row(1, 2, 3), "FP32")]), "x", "4")
    await fails_later(affine(t, outputs=[t.output("wrong")]), "wrong")
    await fails_later(t.ask("infer", "multi", [t.input("a", row(1, 2), "FP32")]), "b")
    is_equal((await affine(t)).as_numpy("y"), row(2, 5, 8, 11))
