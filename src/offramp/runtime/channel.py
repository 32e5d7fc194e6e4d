"""gRPC settings both ends agree on: message sizes, keepalive, reconnection."""

from __future__ import annotations

__all__ = ["MAX_MESSAGE_BYTES", "STREAM_METHOD", "client_options", "server_options"]

#: the largest message either end accepts
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

#: the data plane
STREAM_METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"

Options = list[tuple[str, int]]


def client_options(max_message_bytes: int = MAX_MESSAGE_BYTES) -> Options:
    """Options of a channel.

    A ping goes out after 2 s without traffic; without an answer within 4 s the link counts as dead. A
    closed port is tried again after 50 ms, then less and less often, at least once a second.
    """
    return [
        *_sizes(max_message_bytes),
        ("grpc.keepalive_time_ms", 2_000),
        ("grpc.keepalive_timeout_ms", 4_000),
        ("grpc.http2.ping_timeout_ms", 4_000),  # the same, as newer versions of gRPC call it
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.min_reconnect_backoff_ms", 2_000),  # the time one attempt may take
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def server_options(
    max_message_bytes: int = MAX_MESSAGE_BYTES, max_streams: int = 1024, max_connections: int = 1024
) -> Options:
    """Options of a server: no shared ports (a taken one must be an error), the client's pings allowed.

    A connection that does not complete its handshake within 5 s is closed, and so is one without a call
    for 5 minutes; headers are bounded.
    """
    return [
        *_sizes(max_message_bytes),
        ("grpc.max_concurrent_streams", max_streams),
        ("grpc.max_allowed_incoming_connections", max_connections),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.absolute_max_metadata_size", 32 * 1024),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.http2.max_ping_strikes", 0),
    ]


def _sizes(max_message_bytes: int) -> Options:
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
    ]
