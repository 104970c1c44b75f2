"""open-inference-grpc: the protocol's own gRPC stubs, without Triton's extensions."""

import struct

import grpc
from open_inference.grpc import protocol
from open_inference.grpc.service import GRPCInferenceServiceStub

import values
from harness import call, check, fails, run, same

# The field of InferTensorContents for each type that has one.
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}

# How struct packs the elements of each of these types.
PACKED = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}


class Client:
    def __init__(self, place):
        self.address = place.grpc
        self.channel = grpc.insecure_channel(self.address)
        self.stub = GRPCInferenceServiceStub(self.channel)

    def close(self):
        self.channel.close()


def request(model, datatype, shape, name="x", raw=None, contents=None, **named):
    tensor = protocol.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    for field, elements in (contents or {}).items():
        getattr(tensor.contents, field).extend(elements)
    return protocol.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[] if raw is None else [raw], **named
    )


def affine(**named):
    return request("affine", "FP32", [1, 4], contents={"fp32_contents": [1, 2, 3, 4]}, **named)


def floats(*elements):
    return struct.pack(f"<{len(elements)}f", *elements)


@call
def server_live(client):
    """ServerLive says live."""
    same(client.stub.ServerLive(protocol.ServerLiveRequest()).live, True)


@call
def server_ready(client):
    """ServerReady says ready."""
    same(client.stub.ServerReady(protocol.ServerReadyRequest()).ready, True)


@call
def model_ready(client):
    """ModelReady says ready for a model and a version."""
    same(client.stub.ModelReady(protocol.ModelReadyRequest(name="affine")).ready, True)
    same(client.stub.ModelReady(protocol.ModelReadyRequest(name="affine", version="1")).ready, True)


@call
def server_metadata(client):
    """ServerMetadata has name, version and extensions."""
    found = client.stub.ServerMetadata(protocol.ServerMetadataRequest())
    check(found.name and found.version and found.extensions, found)


@call
def model_metadata(client):
    """ModelMetadata has versions, inputs and outputs."""
    found = client.stub.ModelMetadata(protocol.ModelMetadataRequest(name="affine"))
    same((found.name, sorted(found.versions)), ("affine", ["1", "2"]))
    same([(t.name, t.datatype, list(t.shape)) for t in found.inputs], [("x", "FP32", [-1, 4])])


@call
def infer_typed_contents(client):
    """Typed contents are taken for each type that has them; answers are raw."""
    for datatype, field in CONTENTS.items():
        elements = values.VALUES[datatype]
        asked = request(values.identity(datatype), datatype, values.SHAPE, contents={field: elements})
        found = client.stub.ModelInfer(asked)
        expected = struct.pack(f"<{len(elements)}{PACKED[datatype]}", *elements)
        same((datatype, found.raw_output_contents[0]), (datatype, expected))
    asked = request("identity_bytes", "BYTES", values.SHAPE, contents={"bytes_contents": values.BLOBS})
    expected = b"".join(struct.pack("<I", len(blob)) + blob for blob in values.BLOBS)
    same(client.stub.ModelInfer(asked).raw_output_contents[0], expected)


@call
def infer_raw_contents(client):
    """Raw contents are taken, and version and id are told."""
    found = client.stub.ModelInfer(request("affine", "FP32", [1, 4], raw=floats(1, 2, 3, 4), id="7"))
    same((found.model_name, found.model_version, found.id), ("affine", "2", "7"))
    same(found.raw_output_contents[0], floats(2, 5, 8, 11))


@call
def infer_a_version(client):
    """model_version pins the version."""
    found = client.stub.ModelInfer(affine(model_version="1"))
    same((found.model_version, found.raw_output_contents[0]), ("1", floats(3, 5, 7, 9)))


@call
def mixed_contents_are_refused(client):
    """Typed and raw contents in one request are INVALID_ARGUMENT."""
    asked = affine()
    asked.raw_input_contents.append(floats(1, 2, 3, 4))
    fails(lambda: client.stub.ModelInfer(asked), "INVALID_ARGUMENT", "raw")


@call
def statuses(client):
    """Mistakes are INVALID_ARGUMENT and NOT_FOUND, and named."""
    nobody = request("nobody", "FP32", [1, 4], raw=floats(1, 2, 3, 4))
    fails(lambda: client.stub.ModelInfer(nobody), "NOT_FOUND", "nobody")
    fails(lambda: client.stub.ModelReady(protocol.ModelReadyRequest(name="nobody")), "NOT_FOUND", "nobody")
    fails(lambda: client.stub.ModelInfer(affine(model_version="9")), "NOT_FOUND", "9")
    short = request("affine", "FP32", [1, 4], raw=floats(1, 2, 3))
    fails(lambda: client.stub.ModelInfer(short), "INVALID_ARGUMENT", "x")


@call
def deadline(client):
    """A deadline that has time left changes nothing."""
    same(client.stub.ModelInfer(affine(), timeout=10).raw_output_contents[0], floats(2, 5, 8, 11))


@call
def compression(client):
    """gzip by gRPC's own mechanism."""
    found = client.stub.ModelInfer(affine(), compression=grpc.Compression.Gzip)
    same(found.raw_output_contents[0], floats(2, 5, 8, 11))


@call
def large_messages(client):
    """A tensor beyond gRPC's default limit of 4 MB comes in whole."""
    elements = 1_500_000
    raw = bytes(4 * elements)
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(client.address, options=options) as channel:
        asked = request("identity_fp32", "FP32", [1, elements], raw=raw)
        found = GRPCInferenceServiceStub(channel).ModelInfer(asked)
    check(found.raw_output_contents[0] == raw, len(found.raw_output_contents[0]))


if __name__ == "__main__":
    run(["open-inference-grpc", "grpcio"], Client)
