"""Floor 4: device client, tier server, transport, metrics."""

import os

# gRPC logs every closed connection to stderr; tiers come and go, and say so themselves
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
