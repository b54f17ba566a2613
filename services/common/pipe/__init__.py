"""The pipe: unary gRPC calls, carried in batches over one stream for a fraction of their cost.

`servicer.PipeServicer` serves it, `channel.PipeChannel` is the `grpc.aio.Channel` that generated stubs use. Neither a
handler nor a caller can tell a call of the pipe from a plain one, with these exceptions:

- Statuses that the pipe makes itself carry a `google.rpc.ErrorInfo`; the gRPC core's own carry none.
- Metadata "sent before the response" arrives with the response.
- A request that cannot be serialized, or illegal metadata, raises when the call is made, not when it is awaited.
- A call with more than `limits.MAX_METADATA_ITEMS` metadata entries is refused.
- Interceptors of the wrapped channel do not see calls of the pipe.
"""
