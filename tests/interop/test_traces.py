"""Traces over OTLP, taken by a collector of ours: what they hold, whose trace they join, and that no request waits for them."""

import http.server
import socket
import threading

import httpx
import pytest
from place import PASSWORD, Place, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.taken.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.taken = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def traced(tmp_path, port: int, *settings: str, **environment: str) -> Place:
    place = Place(tmp_path, [f"traces.otlp_url=http://127.0.0.1:{port}/v1/traces", "log.level=debug", *settings])
    place.serve(OTEL_BSP_SCHEDULE_DELAY="100", **environment)
    return place


def test_a_request_is_a_span_of_its_callers_trace(tmp_path, collector):
    place = traced(tmp_path, collector.server_port, OTEL_EXPORTER_OTLP_HEADERS="x-api-key=geheim")
    form = {"name": "Wilhelmina", "email": "wilhelmina@example.com", "password": PASSWORD, "tokenDelivery": "body"}
    answer = httpx.post(f"{place.base}/api/auth/sign-up/email?secret=in-the-query", json=form, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert answer.status_code == 200
    httpx.post(f"{place.base}/api/auth/sign-in/email", json={**form, "password": "a wrong password"})

    def everything() -> bytes:
        return b"".join(body for _, _, body in collector.taken)

    wait_for(lambda: b"/sign-in/email" in everything())
    place.stop()
    spans = everything()
    for expected in (bytes.fromhex(TRACE), bytes.fromhex("00f067aa0ba902b7"), b"POST /api/auth/sign-up/email", b"countersign", b"password.hash", b"password.verify", b"database.write", b"INVALID_EMAIL_OR_PASSWORD",
                     answer.headers["x-request-id"].encode()):
        assert expected in spans, expected
    for secret in ("wilhelmina", "Wilhelmina", PASSWORD, "in-the-query", answer.json()["token"], answer.json()["refreshToken"]):
        assert secret.encode() not in spans, secret
    assert {path for path, _, _ in collector.taken} == {"/v1/traces"} and all(headers["x-api-key"] == "geheim" for _, headers, _ in collector.taken)
    assert "geheim" not in (tmp_path / f"{place.port}.log").read_text()


def test_nothing_is_kept_where_the_share_is_none(tmp_path, collector):
    place = traced(tmp_path, collector.server_port, "traces.sample=0")
    place.sign_in()
    place.stop()
    assert not collector.taken


def test_no_request_waits_for_a_collector_that_is_away(tmp_path):
    # It takes connections and never answers: a client that waited for it would give up after five seconds and fail.
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        place = traced(tmp_path, silent.getsockname()[1])
        for n in range(10):
            place.sign_in(f"user{n}")
        place.stop()
