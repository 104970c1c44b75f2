"""What only tritonclient's HTTP clients can be asked: JSON tensors, bodies made by hand."""

import numpy as np

import values
from harness import call, check, fails_later, same
from triton_client import NUMPY, affine, echoed, is_equal, row


@call
async def infer_each_data_type_as_json(t):
    """Every type that JSON can carry comes back bit by bit."""
    for datatype in NUMPY.keys() - {"FP16", "BF16"}:
        array = np.array(values.VALUES[datatype]).astype(NUMPY[datatype]).reshape(values.SHAPE)
        is_equal(await echoed(t, array, datatype, is_binary=False), array)


@call
async def infer_texts_as_json(t):
    """BYTES as JSON are texts."""
    array = np.array(values.TEXTS, dtype=np.object_).reshape(values.SHAPE)
    found = (await echoed(t, array, "BYTES", is_binary=False)).flatten().tolist()
    same([e if isinstance(e, str) else e.decode() for e in found], values.TEXTS)


@call
async def fp16_is_refused_as_json(t):
    """FP16 goes in binary only, as with Triton, in both directions."""
    array = np.array(values.VALUES["FP16"], dtype=np.float16).reshape(values.SHAPE)
    await fails_later(echoed(t, array, "FP16", is_binary=False), "FP16")
    asked, outputs = [t.input("x", array, "FP16")], [t.output("y", is_binary=False)]
    await fails_later(t.ask("infer", "identity_fp16", asked, outputs=outputs), "FP16")


@call
async def infer_non_finite_as_json(t):
    """NaN and infinities are taken as tokens; in answers all of them are null, which this client reads as NaN."""
    array = np.array([[np.nan, np.inf], [-np.inf, 1.0]], dtype=np.float32)
    asked = [t.input("x", array, "FP32", is_binary=False)]
    found = await t.ask("infer", "identity_fp32", asked, outputs=[t.output("y", is_binary=True)])
    is_equal(found.as_numpy("y"), array)
    found = await echoed(t, np.array([[np.nan, 1.0]], dtype=np.float32), "FP32", is_binary=False)
    check(np.isnan(found[0, 0]) and found[0, 1] == 1.0, found)


@call
async def infer_an_image_as_json(t):
    """150,528 floats as JSON."""
    array = np.arange(values.IMAGE_FLOATS, dtype=np.float32).reshape(1, -1) / 255
    is_equal(await echoed(t, array, "FP32", is_binary=False), array)


@call
async def infer_mixed(t):
    """One input binary, one as JSON; one output binary, one as JSON."""
    a, b = np.array([[1.5, 2.5]], dtype=np.float32), np.array([[3]], dtype=np.int64)
    for is_first_binary in [True, False]:
        asked = [t.input("a", a, "FP32", is_first_binary), t.input("b", b, "INT64", not is_first_binary)]
        outputs = [t.output("doubled", is_first_binary), t.output("sum", not is_first_binary)]
        found = await t.ask("infer", "multi", asked, outputs=outputs)
        is_equal(found.as_numpy("sum"), a + 3)
        is_equal(found.as_numpy("doubled"), b * 2)
        kinds = ["data" not in output for output in found.get_response()["outputs"]]
        same(kinds, [is_first_binary, not is_first_binary])


@call
async def classification_as_json(t):
    """class_count answers texts where JSON is asked for."""
    outputs = [t.output("y", is_binary=False, class_count=1)]
    found = await affine(t, outputs=outputs)
    (entry,) = found.get_output("y")["data"]
    value, index, *_ = entry.split(":")
    same((float(value), int(index)), (11.0, 3))


@call
async def compressed_json(t):
    """JSON requests and answers may be compressed."""
    x = row(1, 2, 3, 4)
    for algorithm in ["gzip", "deflate"]:
        asked, outputs = [t.input("x", x, "FP32", is_binary=False)], [t.output("y", is_binary=False)]
        found = await t.ask("infer", "affine", asked, outputs=outputs, **t.compressed(algorithm, algorithm))
        is_equal(found.as_numpy("y"), row(2, 5, 8, 11))


@call
async def query_parameters(t):
    """Parameters in the query do no harm."""
    is_equal((await affine(t, query_params={"trace": "a b", "n": 1})).as_numpy("y"), row(2, 5, 8, 11))
