"""The gRPC transport: protos/cmstream/v1 served by grpc.aio, with health and reflection."""
