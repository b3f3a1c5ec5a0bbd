"""A proxy for MinIO that injects failures, which MinIO itself cannot produce on request."""

import random
import threading
import time
from contextlib import closing, suppress
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TIMEOUT_SECONDS = 120
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'
HOP_BY_HOP = ("content-length", "transfer-encoding", "connection")


class ProxyMode(StrEnum):
    """What happens to a request."""

    passing = "pass"
    refuse = "refuse"  # 503
    full = "full"  # writing is answered 507, as by a disk that is full
    slow = "slow"  # seconds pass before MinIO gets it
    deaf = "deaf"  # MinIO does it, and the connection is cut before its answer
    hold = "hold"  # writing waits until it is released, also after the mode has changed


class S3Proxy:
    """Passes every request to MinIO unchanged, but for what ``mode`` says.

    Attributes:
        minio: where MinIO is, host:port.
        disturbed: how many requests it has not simply passed.
        released: set it to let go what was held.
    """

    def __init__(self, endpoint: str = "") -> None:
        self.mode: ProxyMode | str = ProxyMode.passing
        self.disturbed = 0
        self.minio = endpoint.removeprefix("http://").rstrip("/")
        proxy = self

        class Handler(_Handler):
            def do(self) -> None:
                self.treat(proxy)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do  # noqa: N815

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that was killed
            super().handle()

    def treat(self, proxy: S3Proxy) -> None:
        try:
            self._treat(proxy)
        except (OSError, HTTPException):
            # MinIO or the client is away: cut, as MinIO's own connection would be.
            self.close_connection = True

    def _treat(self, proxy: S3Proxy) -> None:
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode, writes = proxy.mode, self.command in ("PUT", "POST")
        if mode != ProxyMode.passing and (writes or mode not in (ProxyMode.full, ProxyMode.hold)):
            proxy.disturbed += 1
        if mode == ProxyMode.refuse:
            self._refuse(503, "SlowDown", "Please reduce your request rate")
        elif mode == ProxyMode.full and writes:
            self._refuse(507, "XMinioStorageFull", "Storage backend has reached its minimum")
        else:
            if mode == ProxyMode.slow:
                time.sleep(random.uniform(0.5, 3))
            if mode == ProxyMode.hold and writes:
                proxy.released.wait(TIMEOUT_SECONDS)
            with closing(HTTPConnection(proxy.minio, timeout=TIMEOUT_SECONDS)) as minio:
                answer, content = self._ask(minio, body)
            if mode == ProxyMode.deaf:
                self.close_connection = True
            else:
                self._answer(answer.status, dict(answer.getheaders()), content)

    def _ask(self, minio: HTTPConnection, body: bytes) -> tuple[HTTPResponse, bytes]:
        minio.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                minio.putheader(name, value)
        minio.endheaders(body)
        answer = minio.getresponse()
        return answer, answer.read()

    def _refuse(self, status: int, code: str, message: str) -> None:
        content = ERROR.format(code, message).encode()
        self._answer(status, {"Content-Type": "application/xml"}, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        length = headers.get("Content-Length", "0") if is_head else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    def handle_expect_100(self) -> bool:
        return True  # `treat` does it

    def log_message(self, *_: object) -> None:
        pass
