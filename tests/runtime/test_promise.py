"""One thread waits, another one answers."""

from __future__ import annotations

import threading

import pytest

from offramp.errors import LinkDown
from offramp.runtime.promise import Promise
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb


def test_it_is_kept_from_another_thread() -> None:
    promise = Promise()
    thread = threading.Thread(target=promise.set_result, args=(pb.ModelInferResponse(id="3"),))
    thread.start()
    assert promise.result(30.0).id == "3"
    assert promise.done()
    thread.join()


def test_an_error_is_raised_where_one_waits() -> None:
    promise = Promise()
    promise.set_exception(LinkDown("gone"))
    with pytest.raises(LinkDown, match="gone"):
        promise.result(30.0)


def test_not_in_time() -> None:
    promise = Promise()
    with pytest.raises(TimeoutError):
        promise.result(0.0)
    assert not promise.done()


def test_any_patience_will_do() -> None:
    promise = Promise()
    promise.set_result(pb.ModelInferResponse())
    assert promise.result(float("inf")).id == ""
