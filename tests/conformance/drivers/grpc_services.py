"""Health checks and reflection by gRPC's own packages, without any stubs of the protocol, on both listeners."""

import struct

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from harness import call, check, fails, run, same

SERVICES = {
    "inference.GRPCInferenceService",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "grpc.health.v1.Health",
}

# How long an answer may take.
CALL_SECONDS_MAX = 10


class Client:
    def __init__(self, place):
        self.channel = grpc.insecure_channel(place.grpc)
        self.shared = grpc.insecure_channel(place.http)

    def close(self):
        self.channel.close()
        self.shared.close()


def infer(channel):
    """Asks a model with messages that were described by the gateway itself."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    service = pool.FindServiceByName("inference.GRPCInferenceService")
    method = service.FindMethodByName("ModelInfer")
    request = GetMessageClass(method.input_type)(model_name="affine")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    request.raw_input_contents.append(struct.pack("<4f", 1, 2, 3, 4))
    ask = channel.unary_unary(
        f"/{service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    same(struct.unpack("<4f", ask(request, CALL_SECONDS_MAX).raw_output_contents[0]), (2.0, 5.0, 8.0, 11.0))


@call
def health_check(client):
    """Check says SERVING for the server and the inference service; an unknown service is NOT_FOUND."""
    stub = health_pb2_grpc.HealthStub(client.channel)
    for service in ["", "inference.GRPCInferenceService"]:
        found = stub.Check(health_pb2.HealthCheckRequest(service=service), CALL_SECONDS_MAX)
        same(found.status, health_pb2.HealthCheckResponse.SERVING)
    unknown = health_pb2.HealthCheckRequest(service="nobody")
    fails(lambda: stub.Check(unknown, CALL_SECONDS_MAX), "NOT_FOUND")


@call
def health_watch(client):
    """Watch says SERVING at once and stays open."""
    stub = health_pb2_grpc.HealthStub(client.channel)
    watching = stub.Watch(health_pb2.HealthCheckRequest(), CALL_SECONDS_MAX)
    same(next(watching).status, health_pb2.HealthCheckResponse.SERVING)
    check(watching.is_active(), "the stream ended")
    watching.cancel()


@call
def reflection_list(client):
    """Reflection lists the services."""
    found = ProtoReflectionDescriptorDatabase(client.channel).get_services()
    same(SERVICES - set(found), set())


@call
def reflection_infer(client):
    """A model is asked with nothing but what reflection tells."""
    infer(client.channel)


@call
def unknown_method(client):
    """A method that does not exist is UNIMPLEMENTED."""
    ask = client.channel.unary_unary("/inference.GRPCInferenceService/Nothing")
    fails(lambda: ask(b"", CALL_SECONDS_MAX), "UNIMPLEMENTED")


@call
def shared_port(client):
    """The HTTP listener takes gRPC as well, where grpc_on_http is set."""
    found = health_pb2_grpc.HealthStub(client.shared).Check(health_pb2.HealthCheckRequest(), CALL_SECONDS_MAX)
    same(found.status, health_pb2.HealthCheckResponse.SERVING)
    infer(client.shared)


if __name__ == "__main__":
    run(["grpcio", "grpcio-health-checking", "grpcio-reflection"], Client)
