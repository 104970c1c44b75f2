"""min-tfs-client: TensorFlow Serving's public protos without TensorFlow. It reads typed values only."""

import grpc
import numpy as np
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

import values
from harness import call, run, same
import tfs_grpc_calls  # noqa: F401

# The types this client can write and read.
TYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64"]


class Client:
    def __init__(self, place):
        host, port = place.grpc.rsplit(":", 1)
        self.client = TensorServingClient(host=host, port=int(port))
        self.channel = grpc.insecure_channel(place.grpc)
        self.predictions = PredictionServiceStub(self.channel)
        self.models = ModelServiceStub(self.channel)

    def close(self):
        self.channel.close()


@call
def predict_request(client):
    """predict_request and tensor_proto_to_ndarray, as the package's own example has them."""
    array = np.array([[1, 2, 3, 4]], dtype=np.float32)
    found = client.client.predict_request(model_name="affine", input_dict={"x": array})
    same(tensor_proto_to_ndarray(found.outputs["y"]).tolist(), [[2.0, 5.0, 8.0, 11.0]])


@call
def predict_request_of_a_version(client):
    """model_version pins the version."""
    array = np.array([[1, 2, 3, 4]], dtype=np.float32)
    found = client.client.predict_request(model_name="affine", input_dict={"x": array}, model_version=1)
    same(tensor_proto_to_ndarray(found.outputs["y"]).tolist(), [[3.0, 5.0, 7.0, 9.0]])


@call
def predict_each_data_type(client):
    """Every numeric type it knows comes back."""
    for datatype in TYPES:
        short = {"BOOL": "bool", "FP32": "float32", "FP64": "float64"}
        array = np.array(values.VALUES[datatype], dtype=short.get(datatype, datatype.lower())).reshape(values.SHAPE)
        found = client.client.predict_request(model_name=values.identity(datatype), input_dict={"x": array})
        same((datatype, tensor_proto_to_ndarray(found.outputs["y"]).tolist()), (datatype, array.tolist()))


if __name__ == "__main__":
    run(["min-tfs-client", "grpcio"], Client)
