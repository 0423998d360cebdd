"""What the API server's answers mean: what is refused for good, and what passes. The server is a real one, of ours."""

import json
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from kubernetes.config import incluster_config

from slipway.launch import kubernetes_api
from slipway.launch.adapter import EngineUnreachable
from slipway.launch.kubernetes_api import KubernetesApi, Refused


class Server:
    """Answers all requests in one way, and notes them."""

    def __init__(self):
        self.status, self.body, self.silent = 200, {"kind": "List", "items": []}, threading.Event()
        self.silent.set()
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                content = json.loads(self.rfile.read(length)) if length else None
                server.requests.append((self.command, self.path, content))
                server.silent.wait(10)
                text = server.body if isinstance(server.body, str) else json.dumps(server.body)
                self.send_response(server.status)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, *arguments):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def says(self, status, reason, message):
        self.status = status
        self.body = {"kind": "Status", "reason": reason, "message": message}

    def close(self):
        self.silent.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def api(server, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )
    return KubernetesApi("ns", {"KUBECONFIG": str(path)})


def test_requests_are_those_of_the_daemons_role(api, server):
    server.body = {"items": [], "metadata": {"name": "x"}}
    api.create_job({"kind": "Job"})
    api.job("j")
    api.jobs("a=b,c=d")
    api.delete_job("j", "u-1")
    api.pods("a=b")
    api.log("p", "run")
    api.events("u-1")
    api.config_map("m")
    root, core = "/apis/batch/v1/namespaces/ns/jobs", "/api/v1/namespaces/ns"
    delete = {"propagationPolicy": "Foreground", "preconditions": {"uid": "u-1"}}
    assert server.requests == [
        ("POST", root, {"kind": "Job"}),
        ("GET", f"{root}/j", None),
        ("GET", f"{root}?labelSelector=a%3Db%2Cc%3Dd", None),
        ("DELETE", f"{root}/j", delete),
        ("GET", f"{core}/pods?labelSelector=a%3Db", None),
        ("GET", f"{core}/pods/p/log?container=run&tailLines=50", None),
        ("GET", f"{core}/events?fieldSelector=involvedObject.uid%3Du-1", None),
        ("GET", f"{core}/configmaps/m", None),
    ]


@pytest.mark.parametrize("status", [401, 408, 429, 500, 502, 503, 504])
def test_what_passes(api, server, status):
    server.says(status, "Whatever", "not now")
    with pytest.raises(EngineUnreachable, match="not now"):
        api.create_job({})


@pytest.mark.parametrize(("status", "reason"), [(400, "BadRequest"), (403, "Forbidden"), (422, "Invalid")])
def test_what_never_can_be(api, server, status, reason):
    server.says(status, reason, "because of that")
    with pytest.raises(Refused) as raised:
        api.create_job({})
    assert (raised.value.status, raised.value.reason) == (status, reason)
    assert raised.value.message == "Kubernetes refused: because of that"


def test_what_is_not_there(api, server):
    server.says(404, "NotFound", "gone")
    assert api.job("j") is None
    assert api.delete_job("j", "u") is False
    assert api.log("p", "run") == ""
    server.says(409, "Conflict", "another uid")
    assert api.delete_job("j", "u") is False


def test_an_answer_that_is_no_status(api, server):
    server.status, server.body = 502, "<html>Bad Gateway</html>"
    with pytest.raises(EngineUnreachable, match="502"):
        api.jobs("")
    server.status, server.body = 403, "[]"
    with pytest.raises(Refused, match="403"):
        api.jobs("")


def test_output_is_text_whatever_it_looks_like(api, server):
    server.body = '{"a": 1}\n'
    assert api.log("p", "run") == '{"a": 1}'
    server.body = ""
    assert api.log("p", "run") == ""


def test_a_server_that_says_nothing(api, server, monkeypatch):
    monkeypatch.setattr(kubernetes_api, "TIMEOUTS_SECONDS", (1, 0.3))
    server.silent.clear()
    with pytest.raises(EngineUnreachable, match="does not answer"):
        api.job("j")


def test_a_server_that_is_not_there(api, server):
    server.close()
    with pytest.raises(EngineUnreachable, match="does not answer"):
        api.job("j")


def test_no_way_to_a_cluster_is_named(tmp_path):
    with pytest.raises(EngineUnreachable, match="access to the Kubernetes API"):
        KubernetesApi("ns", {"KUBECONFIG": str(tmp_path / "none")})


def test_the_token_of_the_pod_is_read_again(tmp_path, monkeypatch):
    """Kubernetes renews it every hour at the latest, and an old one is worth nothing soon after."""
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    certificate.write_text("a certificate")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    configuration = kubernetes_api._configuration({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert configuration.auth_settings()["BearerToken"]["value"] == "bearer first"
    token.write_text("second")

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=61)

    monkeypatch.setattr(incluster_config.datetime, "datetime", Later)
    assert configuration.auth_settings()["BearerToken"]["value"] == "bearer second"
