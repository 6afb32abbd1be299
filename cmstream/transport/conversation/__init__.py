"""The conversation of protos/cmstream/v1, whatever carries its messages: gRPC or WebSocket. Event loop only."""
