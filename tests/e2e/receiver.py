# SPDX-License-Identifier: Apache-2.0
"""Receivers of the tests' own: HTTP with or without TLS, that keep every request they get; and what reads remote write's bodies."""

import contextlib
import http.server
import ssl
import struct
import subprocess
import threading
from pathlib import Path


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body


class Receiver:
    """`answer(request)` returns (status, headers, body), or None to say nothing for good."""

    def __init__(self, bench, answer=lambda request: (204, {}, b""), tls=None, client_ca=None, port=0):
        self.requests, self.release = [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                outer.requests.append(request)
                said = answer(request)
                if said is None:
                    outer.release.wait()
                    self.close_connection = True
                    return
                status, headers, content = said
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if not callable(content):
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                else:
                    self.end_headers()
                    content(self.wfile)
                    self.close_connection = True

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a peer that goes away is what some tests are about

        self.server = Server(("127.0.0.1", port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            if client_ca:
                context.load_verify_locations(client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        bench.stack.callback(self.close)

    def close(self):
        self.release.set()
        with contextlib.suppress(OSError):
            self.server.shutdown()
            self.server.server_close()


class Certificate:
    """One for `name`, signed by a CA of its own."""

    def __init__(self, folder, name, days=10):
        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        folder = Path(folder)
        folder.mkdir()
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "10", "-subj", "/CN=test CA")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", "ext",
                "-out", "cert.pem")
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"


# --- remote write ---------------------------------------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def snappy(data):
    """The block format, undone."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                more = length - 59
                length = int.from_bytes(data[at:at + more], "little")
                at += more
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            more = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + more], "little")
            at += more
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes where {size} were said")
    return bytes(out)


def fields(data):
    """(number, value) of each field: bytes, an int, or a double as eight bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at:at + 8], at + 8
        elif tag & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            raise ValueError(f"wire type {tag & 7}")
        yield tag >> 3, value


def sample(data):
    found = dict(fields(data))
    return found.get(2, 0), struct.unpack("<d", found.get(1, b"\0" * 8))[0]


def packed(data):
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


def series_of(request):
    """[(labels, [(ms, value)], has a native histogram)] of a request of either version."""
    body, rows = list(fields(snappy(request.body))), []
    if "io.prometheus.write.v2" in request.headers["content-type"]:
        symbols = [value.decode() for number, value in body if number == 4]
        for number, value in body:
            if number == 5:
                parts = list(fields(value))
                refs = [ref for n, v in parts if n == 1 for ref in packed(v)]
                labels = {symbols[name]: symbols[text] for name, text in zip(refs[::2], refs[1::2])}
                rows.append((labels, [sample(v) for n, v in parts if n == 2], any(n == 3 for n, _ in parts)))
        return rows
    for number, value in body:
        if number == 1:
            parts = list(fields(value))
            labels = {}
            for n, v in parts:
                if n == 1:
                    pair = dict(fields(v))
                    labels[pair[1].decode()] = pair[2].decode()
            rows.append((labels, [sample(v) for n, v in parts if n == 2], any(n == 4 for n, _ in parts)))
    return rows
