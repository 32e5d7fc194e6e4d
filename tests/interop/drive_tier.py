"""Drives a tier with tritonclient, in the environment that has it; prints what it got as one JSON object.

``python drive_tier.py grpc|http HOST:PORT MODEL ROWS.npy`` or ``python drive_tier.py protocol``
"""

from __future__ import annotations

import importlib
import json
import queue
import sys
from typing import Any

import numpy as np

OUTPUTS = ("label", "probabilities", "confidence", "exit", "tier", "degraded")


def plain(value: Any) -> Any:
    """A tensor as lists, bytes as text."""
    return [item.decode() if isinstance(item, bytes) else item for item in value.tolist()]


def failure(call: Any) -> dict[str, str]:
    """Status and sentence of a call that must fail."""
    try:
        call()
    except Exception as error:
        told: Any = error
        if not hasattr(told, "message"):
            raise
        return {"status": str(told.status()), "message": told.message()}
    raise AssertionError("it did not fail")


def input_of(client: Any, rows: Any, name: str = "x", datatype: str = "FP32", **options: Any) -> Any:
    tensor = client.InferInput(name, list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, **options)
    return tensor


def of_itself(ask: Any, model: str, **options: Any) -> dict[str, Any]:
    """Everything but inference; both clients name it alike."""
    return {
        "live": ask.is_server_live(),
        "ready": ask.is_server_ready(),
        "model_ready": [ask.is_model_ready(model), ask.is_model_ready(model, "1"), ask.is_model_ready(model, "2")],
        "other_ready": ask.is_model_ready("other"),
        "server": ask.get_server_metadata(**options),
        "model": ask.get_model_metadata(model, **options),
        "index": ask.get_model_repository_index(**options),
        "load": failure(lambda: ask.load_model(model)),
        "unload": failure(lambda: ask.unload_model(model)),
        "no_model": failure(lambda: ask.get_model_metadata("other")),
    }


def errors(client: Any, ask: Any, model: str, rows: Any) -> dict[str, Any]:
    """Requests that must be refused."""
    wide = np.zeros((1, 7), np.float32)
    integers = np.zeros((1, 4), np.int32)
    return {
        "shape": failure(lambda: ask.infer(model, [input_of(client, wide)])),
        "datatype": failure(lambda: ask.infer(model, [input_of(client, integers, datatype="INT32")])),
        "name": failure(lambda: ask.infer(model, [input_of(client, rows, name="y")])),
        "wrong_model": failure(lambda: ask.infer("other", [input_of(client, rows)])),
        "version": failure(lambda: ask.infer(model, [input_of(client, rows)], model_version="2")),
        "output": failure(
            lambda: ask.infer(model, [input_of(client, rows)], outputs=[client.InferRequestedOutput("nothing")])
        ),
    }


def results(found: Any) -> dict[str, Any]:
    return {name: plain(found.as_numpy(name)) for name in OUTPUTS}


def drive_grpc(address: str, model: str, rows: Any) -> dict[str, Any]:
    client = importlib.import_module("tritonclient.grpc")
    ask = client.InferenceServerClient(address)
    found = of_itself(ask, model, as_json=True) | errors(client, ask, model, rows)
    answer = ask.infer(model, [input_of(client, rows)], request_id="mine")
    found["all"] = results(answer)
    found["id"] = answer.get_response().id
    chosen = ask.infer(model, [input_of(client, rows)], outputs=[client.InferRequestedOutput("exit")])
    found["chosen"] = [output.name for output in chosen.get_response().outputs]
    done: queue.Queue[Any] = queue.Queue()
    ask.async_infer(model, [input_of(client, rows)], lambda result, error: done.put((result, error)))
    result, error = done.get(timeout=20)
    found["async"] = None if error else results(result)
    ask.start_stream(lambda result, error: done.put((result, error)))
    for index in range(len(rows)):
        ask.async_stream_infer(model, [input_of(client, rows[index : index + 1])], request_id=str(index))
    ask.async_stream_infer(model, [input_of(client, np.zeros((1, 7), np.float32))], request_id="wrong")
    streamed, failed = {}, []
    for _ in range(len(rows) + 1):
        result, error = done.get(timeout=20)
        if error is not None:
            failed.append(error.message())
        else:
            streamed[result.get_response().id] = plain(result.as_numpy("label"))[0]
    ask.stop_stream()
    ask.close()
    return found | {"streamed": streamed, "stream_errors": failed}


def drive_http(address: str, model: str, rows: Any) -> dict[str, Any]:
    client = importlib.import_module("tritonclient.http")
    ask = client.InferenceServerClient(address)
    found = of_itself(ask, model) | errors(client, ask, model, rows)
    for sent in (True, False):
        for wanted in (True, False):
            tensor = input_of(client, rows, binary_data=sent)
            outputs = [client.InferRequestedOutput(name, binary_data=wanted) for name in OUTPUTS]
            answer = ask.infer(model, [tensor], outputs=outputs, request_id="mine")
            found[f"binary {sent} {wanted}"] = results(answer)
    found["id"] = answer.get_response()["id"]
    found["all"] = results(ask.infer(model, [input_of(client, rows)]))
    chosen = ask.infer(model, [input_of(client, rows)], outputs=[client.InferRequestedOutput("exit")])
    found["chosen"] = [output["name"] for output in chosen.get_response()["outputs"]]
    found["async"] = results(ask.async_infer(model, [input_of(client, rows)]).get_result())
    found["gzip"] = failure(lambda: ask.infer(model, [input_of(client, rows)], request_compression_algorithm="gzip"))
    ask.close()
    return found


def protocol() -> dict[str, Any]:
    """Triton's own messages and calls: every field with its number, type and label."""
    service = importlib.import_module("tritonclient.grpc.service_pb2").DESCRIPTOR
    messages: dict[str, Any] = {}

    def add(message: Any, prefix: str = "") -> None:
        name = f"{prefix}{message.name}"
        messages[name] = {field.name: [field.number, field.type, field.label] for field in message.fields}
        for nested in message.nested_types:
            add(nested, f"{name}.")

    for message in service.message_types_by_name.values():
        add(message)
    calls = service.services_by_name["GRPCInferenceService"].methods
    return {"messages": messages, "calls": {m.name: [m.input_type.name, m.output_type.name] for m in calls}}


if __name__ == "__main__":
    if sys.argv[1] == "protocol":
        answer = protocol()
    else:
        drive = drive_grpc if sys.argv[1] == "grpc" else drive_http
        answer = drive(sys.argv[2], sys.argv[3], np.load(sys.argv[4]))
    sys.stdout.write(json.dumps(answer) + "\n")
