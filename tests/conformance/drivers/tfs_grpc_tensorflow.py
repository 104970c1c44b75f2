"""tensorflow-serving-api with TensorFlow itself: its helpers write the requests and read the answers."""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

import values
from harness import call, run, same
import tfs_grpc_calls  # noqa: F401
from tfs_grpc_calls import predict


class Client:
    def __init__(self, place):
        self.channel = grpc.insecure_channel(place.grpc)
        self.predictions = PredictionServiceStub(self.channel)
        self.models = ModelServiceStub(self.channel)

    def close(self):
        self.channel.close()


def echoed(client, array, datatype):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = values.identity(datatype)
    asked.inputs["x"].CopyFrom(tf.make_tensor_proto(array, shape=array.shape))
    return tf.make_ndarray(predict(client, asked).outputs["y"])


@call
def predict_each_data_type(client):
    """make_tensor_proto and make_ndarray carry every type bit by bit, FP16 and BF16 included."""
    short = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
    for datatype, elements in values.VALUES.items():
        numpy_type = tf.bfloat16.as_numpy_dtype if datatype == "BF16" else short.get(datatype, datatype.lower())
        array = np.array(elements).astype(numpy_type).reshape(values.SHAPE)
        found = echoed(client, array, datatype)
        same((datatype, found.dtype, found.tobytes()), (datatype, array.dtype, array.tobytes()))


@call
def predict_equal_values(client):
    """make_tensor_proto writes equal values once; the answer is whole."""
    array = np.ones((2, 3), dtype=np.float32)
    same(echoed(client, array, "FP32").tolist(), array.tolist())


@call
def predict_texts(client):
    """Strings come back."""
    array = np.array(values.BLOBS, dtype=object).reshape(values.SHAPE)
    same(echoed(client, array, "BYTES").flatten().tolist(), values.BLOBS)


@call
def predict_an_image(client):
    """600 KB in one tensor."""
    array = np.arange(values.IMAGE_FLOATS, dtype=np.float32).reshape(1, -1)
    same(echoed(client, array, "FP32").tobytes(), array.tobytes())


if __name__ == "__main__":
    run(["tensorflow-serving-api", "tensorflow-cpu", "grpcio"], Client)
