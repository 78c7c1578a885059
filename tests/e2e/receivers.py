# SPDX-License-Identifier: Apache-2.0
"""Local ends for what is sent to people: an HTTPS server that takes webhooks, and an SMTP server with STARTTLS and a password; both can
refuse, dawdle and hang up at a word. Their certificates are by a CA of the test's own.
"""

import http.server
import json
import socket
import ssl
import subprocess
import threading
import time
import warnings
from pathlib import Path

import harness


class Authority:
    """A private CA, and a certificate for 127.0.0.1 by it, good for so many days from now."""

    def __init__(self, bench, name="ca", days=2):
        self.folder = Path(bench.dir, name)
        self.folder.mkdir()
        self.ca, self.cert, self.key = (self.folder / n for n in ("ca.pem", "cert.pem", "key.pem"))
        run = lambda *words: subprocess.run(["openssl", *map(str, words)], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.csr", "-subj", "/CN=127.0.0.1")
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1")
        run("x509", "-req", "-in", "cert.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert.pem", "-days", days, "-extfile", "names")

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Webhooks:
    """`answers` are taken one a request: a status, "hang up", or a number of seconds to wait as a float; then 200 for good."""

    def __init__(self, bench, authority):
        self.requests = []  # (path, headers, document)
        self.answers = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = owner.answers.pop(0) if owner.answers else 200
                if isinstance(answer, float):
                    time.sleep(answer)
                    answer = 200
                if answer == "hang up":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if 200 <= answer < 300:
                    owner.requests.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # the sender hung up

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = authority.server_context().wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        bench.stack.callback(self.server.server_close)
        bench.stack.callback(self.server.shutdown)

    def url(self, path=""):
        return f"https://127.0.0.1:{self.port}/{path}"

    def documents(self, path):
        return [document for where, _, document in list(self.requests) if where == f"/{path}"]


class Mails:
    """aiosmtpd, with STARTTLS required before anything (`implicit`: TLS from the first byte on; no authority: none at all), and user ops with the
    password s3cret. `codes` are answered to RCPT, one each."""

    def __init__(self, bench, authority, implicit=False):
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult

        self.mails = []   # (sender, recipients, bytes)
        self.codes = []
        owner = self

        class Handler:
            async def handle_RCPT(self, server, session, envelope, address, options):
                code = owner.codes.pop(0) if owner.codes else "250 OK"
                if code.startswith("250"):
                    envelope.rcpt_tos.append(address)
                return code

            async def handle_DATA(self, server, session, envelope):
                owner.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
                return "250 taken"

        def authenticate(server, session, envelope, mechanism, data):
            return AuthResult(success=(data.login, data.password) == (b"ops", b"s3cret"), handled=False)  # it answers 535 itself

        self.port = harness.free_port()
        tls = authority.server_context() if authority else None
        how = {"ssl_context": tls, "auth_require_tls": False} if implicit else {"tls_context": tls, "require_starttls": bool(tls)}
        warnings.simplefilter("ignore")  # that a password without STARTTLS is a risk: it comes over TLS
        self.controller = Controller(Handler(), hostname="127.0.0.1", port=self.port, authenticator=authenticate, auth_required=bool(tls), **how)
        self.controller.start()
        bench.stack.callback(self.controller.stop)
