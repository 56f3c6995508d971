"""The real nginx and Caddy with the blocks of docs/guides/behind-a-proxy.md, and the requests that a browser sends through them."""

import contextlib
import http.server
import pathlib
import re
import socket
import ssl
import subprocess
import threading

import httpcore
import httpx
import jwt
from place import PASSWORD, free_port, wait_for

NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{block}
}}
"""

# The browser's own IP address on this machine, which is not the proxy's.
BROWSER = "127.0.0.2"


class Dial(httpcore.SyncBackend):
    """Leads every name to the proxy under test, from an IP address of the browser's own."""

    def __init__(self, ports: dict[int, int]):
        self.ports = ports

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        return super().connect_tcp("127.0.0.1", self.ports[port], timeout, BROWSER, socket_options)


def browser(certificate: pathlib.Path, ports: dict[int, int]) -> httpx.Client:
    """A client that keeps cookies as a browser does, trusts the certificate of the test, and finds every host at the proxy."""
    context = ssl.create_default_context(cafile=str(certificate))
    transport = httpx.HTTPTransport(verify=context)
    transport._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=Dial(ports))
    return httpx.Client(transport=transport)


def make_certificate(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """Writes a self-signed certificate for these names, and its key beside it."""
    file = folder / "certificate.pem"
    subject = ["-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", str(folder / "key.pem"), "-out", str(file), *subject]
    subprocess.run(making, check=True, capture_output=True)
    return file


@contextlib.contextmanager
def running(command: list[str], folder: pathlib.Path, ports: list[int]):
    """Runs a proxy until its ports take connections, and stops it at the end."""
    with open(folder / "proxy.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin:/usr/sbin:/bin"})
        try:

            def up():
                assert process.poll() is None, "".join(file.read_text() for file in folder.glob("*.log"))
                for port in ports:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                return True

            wait_for(up)
            yield
        finally:
            process.terminate()
            process.wait(20)


def nginx(block: str, folder: pathlib.Path, ports: dict[int, int], upstreams: dict[str, str]):
    text = block
    for old, new in upstreams.items():
        text = text.replace(old, new)
    # IPv6 listeners would take the machine's own ports.
    text = re.sub(r"^\s*listen \[::\].*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"listen (\d+)", lambda found: f"listen 127.0.0.1:{ports[int(found[1])]}", text)
    text = re.sub(r"ssl_certificate [^;]+;", f"ssl_certificate {folder}/certificate.pem;", text)
    text = re.sub(r"ssl_certificate_key [^;]+;", f"ssl_certificate_key {folder}/key.pem;", text)
    (folder / "nginx.conf").write_text(NGINX.format(block=text))
    return running(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], folder, list(ports.values()))


def caddy(block: str, folder: pathlib.Path, ports: dict[int, int], upstreams: dict[str, str]):
    text = block
    for old, new in upstreams.items():
        text = text.replace(old, new)
    # With a certificate of the test instead of one from an authority, and without Caddy's API.
    text = re.sub(r"^(\S+\.\S+) \{$", f"\\1 {{\n\ttls {folder}/certificate.pem {folder}/key.pem", text, flags=re.MULTILINE)
    options = f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {ports[80]}\n\thttps_port {ports[443]}\n}}\n"
    (folder / "Caddyfile").write_text(options + text)
    return running(["/usr/bin/caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], folder, list(ports.values()))


class App(http.server.BaseHTTPRequestHandler):
    """The application beside the service: it tells which cookies reached it."""

    def do_GET(self):
        body = f"the app; {self.headers.get('cookie', '')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def application():
    port = free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield port
    finally:
        server.shutdown()


def converse(browser: httpx.Client, public: str, mount: str, has_application: bool):
    """What a browser does in its first minutes, and what must not reach the service or the application."""
    origin = public.removesuffix(mount)
    api = f"{public}/api/auth"
    spoofed = {"x-forwarded-for": "203.0.113.9", "origin": origin}
    form = {"name": "Ana", "email": "ana@example.com", "password": PASSWORD}
    signed = browser.post(f"{api}/sign-up/email", json=form, headers=spoofed)
    assert signed.status_code == 200, signed.text
    foreign = browser.post(f"{api}/sign-in/email", json=form, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    lines = {line.split("=")[0]: line for line in signed.headers.get_list("set-cookie")}
    session, refresh, device = (lines[name] for name in ("__Secure-better-auth.session_token", "__Secure-better-auth.refresh_token", "__Host-better-auth.known_device"))
    assert all("; Secure" in line and "; HttpOnly" in line for line in (session, refresh, device))
    assert "; Path=/;" in f"{session};" and "; SameSite=Lax" in session
    assert f"; Path={mount}/api/auth;" in f"{refresh};" and "; SameSite=Strict" in refresh
    assert "strict-transport-security" in signed.headers
    # The browser's own IP address, not the proxy's and not what the browser claims.
    devices = browser.get(f"{api}/list-sessions").json()
    assert [device["ipAddress"] for device in devices] == [BROWSER]
    refreshed = browser.post(f"{api}/refresh", json={}, headers={"origin": origin})
    assert refreshed.status_code == 200 and any("refresh_token" in line for line in refreshed.headers.get_list("set-cookie"))
    keys = jwt.PyJWKSet.from_dict(browser.get(f"{api}/jwks").json())
    token = refreshed.json()["accessToken"]
    claims = jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], algorithms=["EdDSA"], issuer=public, audience=public)
    assert claims["email"] == "ana@example.com"
    assert browser.get(f"{origin}/.well-known/openid-configuration{mount}").json()["issuer"] == public
    # Pages and what they load.
    page = browser.get(f"{public}/auth/account")
    assert page.status_code == 200 and "ana@example.com" in page.text
    style = re.search(r'<link[^>]+href="([^"]+\.css[^"]*)"', page.text)[1]
    assert style.startswith(f"{mount}/auth/") and browser.get(f"{origin}{style}").status_code == 200
    led = httpx.Response(200) if has_application and not mount else browser.get(f"{public}", follow_redirects=False)
    assert led.status_code == 200 or led.headers["location"].startswith(f"{mount}/auth/")
    if has_application:
        seen = browser.get(f"{origin}/dashboard").text
        assert seen.startswith("the app; ") and "session_token" in seen and "refresh_token" not in seen
        assert browser.get(f"{origin}/authors").text.startswith("the app; ")
    health = browser.get(f"{public}/health/ready")
    assert health.status_code == 404 or health.text.startswith("the app; ")
    out = browser.post(f"{api}/sign-out", json={}, headers={"origin": origin})
    assert out.status_code == 200 and browser.get(f"{api}/get-session").json() is None


def ask_without_tls(browser: httpx.Client, host: str, mount: str):
    """Pages lead to https; a call of the API never gets an answer over http."""
    page = browser.get(f"http://{host}{mount}/auth/sign-in")
    assert page.status_code in (301, 308) and page.headers["location"] == f"https://{host}{mount}/auth/sign-in"
    call = browser.post(f"http://{host}{mount}/api/auth/sign-in/email", json={"email": "ana@example.com", "password": PASSWORD})
    # nginx refuses; Caddy leads every request to https.
    assert call.status_code in (403, 308) and "set-cookie" not in call.headers
