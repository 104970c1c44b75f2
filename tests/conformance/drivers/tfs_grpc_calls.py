"""What TensorFlow Serving's gRPC services are asked, whichever package the stubs come from."""

from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from harness import Absent, call, check, fails, same

# How long an answer may take.
CALL_SECONDS_MAX = 20


def tensor(floats, shape):
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in shape]
    described = tensor_shape_pb2.TensorShapeProto(dim=dims)
    return tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=described, float_val=floats)


def request(model="affine", floats=(1, 2, 3, 4), shape=(1, 4), name="x"):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = model
    asked.inputs[name].CopyFrom(tensor(floats, shape))
    return asked


def predict(client, asked, **named):
    return client.predictions.Predict(asked, CALL_SECONDS_MAX, **named)


def floats(answer, name="y"):
    return client_floats(answer.outputs[name])


def client_floats(found):
    same(found.dtype, types_pb2.DT_FLOAT)
    return list(found.float_val)


@call
def predict_typed_values(client):
    """Typed values in, typed values out, with the model and version that answered."""
    found = predict(client, request())
    same(floats(found), [2.0, 5.0, 8.0, 11.0])
    same([dim.size for dim in found.outputs["y"].tensor_shape.dim], [1, 4])
    same((found.model_spec.name, found.model_spec.version.value), ("affine", 2))


@call
def predict_tensor_content(client):
    """tensor_content in, as TensorFlow's own helper writes it for large tensors."""
    import struct

    asked = request()
    asked.inputs["x"].ClearField("float_val")
    asked.inputs["x"].tensor_content = struct.pack("<4f", 1, 2, 3, 4)
    same(floats(predict(client, asked)), [2.0, 5.0, 8.0, 11.0])


@call
def predict_one_value_for_all(client):
    """One value stands for all elements, as TensorFlow's own helper writes equal ones."""
    same(floats(predict(client, request(floats=[1]))), [2.0, 2.0, 2.0, 2.0])


@call
def predict_a_version(client):
    """A version or a label in the model_spec pins the version."""
    asked = request()
    asked.model_spec.version.value = 1
    same(floats(predict(client, asked)), [3.0, 5.0, 7.0, 9.0])
    asked = request()
    asked.model_spec.version_label = "old"
    same(floats(predict(client, asked)), [3.0, 5.0, 7.0, 9.0])


@call
def predict_with_metadata(client):
    """A header decides the version where a rule says so."""
    found = predict(client, request(), metadata=[("x-tenant", "acme")])
    same((found.model_spec.version.value, floats(found)), (1, [3.0, 5.0, 7.0, 9.0]))


@call
def predict_chosen_outputs(client):
    """output_filter chooses the outputs."""
    asked = request("multi", [1.5, 2.5], [1, 2], "a")
    asked.inputs["b"].dtype = types_pb2.DT_INT64
    asked.inputs["b"].int64_val.append(3)
    for size in [1, 1]:
        asked.inputs["b"].tensor_shape.dim.add(size=size)
    asked.output_filter.append("sum")
    found = predict(client, asked)
    same((list(found.outputs), floats(found, "sum")), (["sum"], [4.5, 5.5]))


@call
def predict_strings(client):
    """String tensors hold any bytes."""
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = "identity_bytes"
    asked.inputs["x"].dtype = types_pb2.DT_STRING
    asked.inputs["x"].string_val.extend([b"", b"\x00\xff"])
    for size in [1, 2]:
        asked.inputs["x"].tensor_shape.dim.add(size=size)
    same(list(predict(client, asked).outputs["y"].string_val), [b"", b"\x00\xff"])


@call
def metadata(client):
    """GetModelMetadata holds the signature made from the model."""
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "affine"
    found = client.predictions.GetModelMetadata(asked, CALL_SECONDS_MAX)
    same((found.model_spec.name, found.model_spec.version.value), ("affine", 2))
    signatures = get_model_metadata_pb2.SignatureDefMap()
    check(found.metadata["signature_def"].Unpack(signatures), found)
    signature = signatures.signature_def["serving_default"]
    described = signature.inputs["x"]
    same((described.dtype, [dim.size for dim in described.tensor_shape.dim]), (types_pb2.DT_FLOAT, [-1, 4]))


@call
def status(client):
    """GetModelStatus lists the versions as AVAILABLE."""
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "affine"
    found = client.models.GetModelStatus(asked, CALL_SECONDS_MAX).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    same(sorted((entry.version, entry.state) for entry in found), [(1, available), (2, available)])


@call
def statuses(client):
    """Mistakes are NOT_FOUND and INVALID_ARGUMENT, and named."""
    fails(lambda: predict(client, request("nobody")), "NOT_FOUND", "nobody")
    fails(lambda: predict(client, request(name="wrong")), "INVALID_ARGUMENT", "wrong")
    fails(lambda: predict(client, request(floats=[1, 2, 3], shape=[1, 3])), "INVALID_ARGUMENT", "x")
    other = request()
    other.model_spec.signature_name = "other"
    fails(lambda: predict(client, other), "INVALID_ARGUMENT", "other")


@call
def classify_and_regress(client):
    """Classify and Regress, which take tf.Example."""
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name = "batch"
    fails(lambda: client.predictions.Classify(asked, CALL_SECONDS_MAX), "UNIMPLEMENTED")
    asked = regression_pb2.RegressionRequest()
    asked.model_spec.name = "regressor"
    fails(lambda: client.predictions.Regress(asked, CALL_SECONDS_MAX), "UNIMPLEMENTED")
    raise Absent("over gRPC there is Predict; REST has :classify and :regress")


@call
def reload_config(client):
    """HandleReloadConfigRequest, which replaces the list of models."""
    asked = model_management_pb2.ReloadConfigRequest()
    fails(lambda: client.models.HandleReloadConfigRequest(asked, CALL_SECONDS_MAX), "UNIMPLEMENTED")
    raise Absent("models come from the repository and routing.toml, both live")
