#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""TLS and who is answered, with the real peers: curl, Prometheus with its own configuration of a scrape, openssl as the one who
makes certificates; what `check` says of files; what a file that is replaced changes; and that no secret is told to anybody.
"""

import contextlib
import ctypes
import ctypes.util
import json
import os
import shutil
import ssl
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import harness
from harness import wait_for

TOKEN = "a-token-of-the-test-0123456789"
PASSWORD = "correct horse battery"


def bcrypt(password, cost=6):
    """As htpasswd -nB makes it, by the C library's own crypt."""
    crypt = ctypes.CDLL(ctypes.util.find_library("crypt"))
    crypt.crypt.restype = ctypes.c_char_p
    return crypt.crypt(password.encode(), f"$2b${cost:02}$abcdefghijklmnopqrstuu".encode()).decode()


class Authority:
    """A certificate authority of the test's own, and what it signs."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test authority",
                     "-keyout", "ca.key", "-out", "ca.pem")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def sign(self, name, use, days=2):
        (self.folder / f"{name}.ext").write_text(f"subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={use}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext",
                     "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


def curl(agent, path, *words):
    """(status, body) by curl; status 0: no answer at all."""
    done = subprocess.run(["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *map(str, words), f"https://127.0.0.1:{agent.port}{path}"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    body, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    return int(status or 0), body or done.stderr.decode(errors="replace")


def start(bench, authority, http, **options):
    cert, key = authority.sign("server", "serverAuth")
    agent = bench.agent(f"""
interval: 1s
policies: []
http:
  tls: {{cert_file: {cert}, key_file: {key}{options.pop("tls", "")}}}
{http}
""", ready=False, **options)
    ca = ("--cacert", authority.folder / "ca.pem")
    wait_for("the agent to answer", lambda: curl(agent, "/healthz", *ca)[0] in (200, 401, 403), 30)
    return agent, ca


def tells_no_secret(bench, agent, *secrets):
    heard = agent.log.read_text(errors="replace") + agent.cli("status")[1] + agent.cli("check", agent.config)[1]
    for pid in [agent.pid, *harness.children_of(agent.pid)]:
        with contextlib.suppress(OSError):
            heard += Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text(errors="replace")
    bench.ok("no log, answer or command line holds a secret", not [s for s in secrets if s in heard])


def tls_and_who_it_is(bench):
    authority = Authority(Path(bench.dir, "ca"))
    token = Path(bench.dir, "token")
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)  # the publisher could not read it
    agent, ca = start(bench, authority, f"""  auth:
    bearer_token_file: {token}
    basic_auth_users:
      ann: {bcrypt(PASSWORD)}
""")
    bench.equal("without a word", curl(agent, "/metrics", *ca)[0], 401)
    bench.equal("/readyz, too", curl(agent, "/readyz", *ca)[0], 401)
    bench.equal("/healthz is open", curl(agent, "/healthz", *ca)[0], 200)
    bearer = ("-H", f"Authorization: Bearer {TOKEN}")
    wait_for("the first measurement", lambda: "nodemend_ticks_total" in curl(agent, "/metrics", *ca, *bearer)[1], 20)
    bench.equal("the token", curl(agent, "/metrics", *ca, *bearer)[0], 200)
    bench.equal("another token", curl(agent, "/metrics", *ca, "-H", f"Authorization: Bearer {TOKEN}x")[0], 401)
    bench.equal("a user", curl(agent, "/metrics", *ca, "-u", f"ann:{PASSWORD}")[0], 200)
    bench.equal("the user again", curl(agent, "/metrics", *ca, "-u", f"ann:{PASSWORD}")[0], 200)
    answers = set()
    def wrong():  # whoever has just made it hash waits a little: 429
        answers.add(curl(agent, "/metrics", *ca, "-u", "ann:wrong")[0])
        return 401 in answers
    wait_for("a wrong password to be refused", wrong, 20)
    bench.ok("a wrong password", answers <= {401, 429}, answers)
    bench.equal("somebody who does not know the authority", curl(agent, "/healthz")[0], 0)
    for version, there in (("1.1", False), ("1.2", True), ("1.3", True)):
        status, _ = curl(agent, "/healthz", *ca, f"--tlsv{version}", "--tls-max", version)
        bench.equal(f"TLS {version}", status == 200, there)
    packed = curl(agent, "/metrics", *ca, *bearer, "--compressed")
    bench.ok("gzip over TLS", packed[0] == 200 and "nodemend_build_info" in packed[1], packed[1][:200])

    publisher = agent.publisher_pid()
    other = "another-token-9876543210"
    replaced = Path(bench.dir, "token.new")
    replaced.write_text(other)
    replaced.rename(token)  # as a rotation does it
    wait_for("the new token", lambda: curl(agent, "/metrics", *ca, "-H", f"Authorization: Bearer {other}")[0] == 200, 30, step=0.2)
    bench.equal("the old token is out", curl(agent, "/metrics", *ca, *bearer)[0], 401)
    def serial():
        with contextlib.suppress(OSError):  # a new certificate closes the connections under the old one
            return ssl.get_server_certificate(("127.0.0.1", agent.port))
    old = serial()
    authority.sign("server", "serverAuth")
    agent.cli("reload")
    wait_for("the new certificate", lambda: serial() not in (None, old), 20)
    bench.equal("the publisher is the same process", agent.publisher_pid(), publisher)
    (authority.folder / "server.pem").write_text("no certificate")
    code, _, err = agent.cli("reload")
    bench.ok("a reload with a bad certificate is refused with its place", code != 0 and "cert_file" in err and "PEM" in err, err)
    bench.equal("and the old one serves on", curl(agent, "/healthz", *ca)[0], 200)
    tells_no_secret(bench, agent, TOKEN, other, PASSWORD, bcrypt(PASSWORD), "BEGIN PRIVATE KEY")
    bench.equal("it still measures", agent.cli("status")[0], 0)


def clients_show_certificates(bench):
    authority, stranger = Authority(Path(bench.dir, "ca")), Authority(Path(bench.dir, "other"))
    agent, ca = start(bench, authority, "", tls=f", client_ca_file: {authority.folder}/ca.pem, client_auth_type: RequireAndVerifyClientCert")
    for name, signer, use, days, wanted in (("good", authority, "clientAuth", 2, 200), ("a server's", authority, "serverAuth", 2, 403),
                                            ("a stranger's", stranger, "clientAuth", 2, 403), ("an expired", authority, "clientAuth", -1, 403)):
        cert, key = signer.sign("client", use, days)
        bench.equal(f"{name} certificate", curl(agent, "/healthz", *ca, "--cert", cert, "--key", key)[0], wanted)
    bench.equal("no certificate", curl(agent, "/healthz", *ca)[0], 403)


def check_tells_of_files(bench):
    authority = Authority(Path(bench.dir, "ca"))
    cert, key = authority.sign("server", "serverAuth")
    other = Authority(Path(bench.dir, "other")).sign("server", "serverAuth")
    empty, config = Path(bench.dir, "empty"), Path(bench.dir, "check.yaml")
    empty.write_text("\n")
    for name, line, place, words in (
            ("a missing certificate", f"tls: {{cert_file: /no/such, key_file: {key}}}", "2:20", "No such file"),
            ("no certificate in it", f"tls: {{cert_file: {key}, key_file: {key}}}", "2:20", "no certificate"),
            ("no key in it", f"tls: {{cert_file: {cert}, key_file: {cert}}}", None, "no private key"),
            ("another's key", f"tls: {{cert_file: {cert}, key_file: {other[1]}}}", None, "not the key of that certificate"),
            ("a folder", f"auth: {{bearer_token_file: {bench.dir}}}", "2:29", "not a regular file"),
            ("an empty token", f"auth: {{bearer_token_file: {empty}}}", "2:29", "empty"),
            ("a password instead of a hash", "auth: {basic_auth_users: {ann: hunter2}}", "2:34", "not a bcrypt hash")):
        config.write_text(f"http:\n  {line}\n")
        code, _, err = harness.run_cli("check", config)
        bench.ok(name, code == 2 and words in err and f"check.yaml:{place or '2:'}" in err and "hunter2" not in err, err)
    config.write_text(f"http:\n  tls: {{cert_file: {cert}, key_file: {key}}}\n")
    bench.equal("what is well", harness.run_cli("check", config)[0], 0)


def open_to_all_is_said(bench):
    agent = bench.agent("interval: 1s\npolicies: []\n", listen="0.0.0.0:0", ready=False)
    wait_for("the sentence", lambda: "can be reached from other hosts and everybody who does is answered" in agent.log.read_text(), 20)
    bench.ok("who listens to all hosts without asking is told so", True)


class ByConfiguration(harness.Agent):
    """Listens where its file says: no --listen that would override it."""

    def start(self, ready=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(harness.BINARY), "run", "--config", str(self.config), "--run-dir", str(self.run_dir),
                                             "--state-dir", str(self.state_dir)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def a_reload_takes_a_new_address(bench):
    first, second = harness.free_port(), harness.free_port()
    text = "interval: 1s\npolicies: []\nhttp: {{listen: '127.0.0.1:{}'}}\n"
    agent = ByConfiguration(bench, text.format(first), ready=False)
    agent.port = first
    agent.wait_ready()
    agent.config.write_text(text.format(second))
    bench.equal("the reload", agent.cli("reload")[0], 0)
    agent.port = second
    agent.wait_ready()
    agent.port = first
    try:
        agent.get("/healthz")
        bench.ok("the old address is left", False)
    except ConnectionRefusedError:
        bench.ok("the old address is left", True)


def prometheus_scrapes(bench):
    if not shutil.which("prometheus"):
        bench.skip("a real Prometheus", "prometheus is not installed (scripts/deps.sh test)")
        return
    authority = Authority(Path(bench.dir, "ca"))
    agent, ca = start(bench, authority, f"""  auth:
    basic_auth_users:
      ann: {bcrypt(PASSWORD)}
""")
    folder, port = Path(bench.dir, "prometheus"), harness.free_port()
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "node", "scheme": "https", "tls_config": {"ca_file": f"{authority.folder}/ca.pem"},
                            "basic_auth": {"username": "ann", "password": PASSWORD},
                            "static_configs": [{"targets": [f"127.0.0.1:{agent.port}"]}]}]}))
    process = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", "--log.level=error",
                                f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    bench.stack.callback(process.wait)
    bench.stack.callback(process.kill)

    def up():
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": 'up{job="node"}'})
            with urllib.request.urlopen(url, timeout=5) as answer:
                return [row["value"][1] for row in json.load(answer)["data"]["result"]] == ["1"]
        return False
    wait_for("Prometheus to scrape over TLS as a user", up, 40)
    bench.ok("Prometheus scrapes over TLS as a user", True)


if __name__ == "__main__":
    if not shutil.which("openssl") or not shutil.which("curl"):
        print("SKIP test_http_access: openssl or curl is not installed (scripts/deps.sh test)")
        raise SystemExit(0)
    raise SystemExit(harness.main(prometheus_scrapes, tls_and_who_it_is, clients_show_certificates, check_tells_of_files, open_to_all_is_said, a_reload_takes_a_new_address, together=3))
