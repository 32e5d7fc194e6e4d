#!/bin/sh
# Writes grpc_predict_v2_pb2.py and .pyi again. Needs grpcio-tools 1.62, the oldest version whose
# output runs on every protobuf from 4.25 on:
#   python -m venv build/proto && build/proto/bin/pip install "grpcio-tools==1.62.*" "setuptools<81"
#   PATH=build/proto/bin:$PATH src/offramp/runtime/proto/generate.sh
set -eu
cd "$(dirname "$0")"
python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. grpc_predict_v2.proto
