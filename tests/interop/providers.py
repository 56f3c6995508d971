"""The providers at which users sign in: an OpenID provider of a company and what GitHub looks like, both of `upstream/`."""

import json
import subprocess

import httpx
from place import NODE, ROOT, free_port, wait_for

WORK = ROOT / "target/interop/upstream"
# Full of what a form and a header have to encode; `upstream/issuer.mjs` and `upstream/github.mjs` know the same.
SECRET = "a secret: 100% + more/of=it & longer"
# One issuer under five ids, each with its rule: `loose` is responsible for no domain, `asking` makes a user if the client asks, `shut` makes none,
# `keeping` keeps its tokens.
RULES = {
    "acme": ["domains=example.com", "client_ids=phone"],
    "loose": ["client_ids=phone"],
    "asking": ["domains=example.com", "client_ids=phone", "sign_up=requested"],
    "shut": ["domains=example.com", "client_ids=phone", "sign_up=false"],
    "keeping": ["domains=example.com", "client_ids=phone", "keep_tokens=true"],
}


class Providers:
    """Both providers, running; they know the services at these URLs."""

    def __init__(self, folder, services: list[str]):
        self.processes, self.folder = [], folder
        acme, github = free_port(), free_port()
        self.urls = {"acme": f"http://localhost:{acme}", "github": f"http://localhost:{github}"}
        redirects = [f"{service}/api/auth/callback/{provider}" for service in services for provider in RULES]
        native = [{"client_id": name, "token_endpoint_auth_method": "none", "redirect_uris": ["http://127.0.0.1:9/native"]} for name in ("phone", "stranger")]
        self._start(folder, "issuer.mjs", {"port": acme, "clients": [{"redirect_uris": redirects}, *native]})
        self._start(folder, "github.mjs", {"port": github})
        wait_for(lambda: httpx.get(f"{self.urls['acme']}/jwks").status_code == 200)
        wait_for(lambda: httpx.get(f"{self.urls['github']}/").status_code == 404)

    def _start(self, folder, program: str, settings: dict) -> None:
        log = open(folder / f"{program}.log", "ab")
        command = [NODE, program, json.dumps(settings)]
        self.processes.append(subprocess.Popen(command, cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def _secret(self, name: str, text: str) -> str:
        """The path of a file with a secret: the arguments of a process can be read by every user."""
        path = self.folder / f"{name}.secret"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def settings(self) -> list[str]:
        """Our settings for all of them."""
        acme = [f"issuer={self.urls['acme']}", "kind=oidc", "client_id=countersign", f"client_secret_file={self._secret('acme', SECRET)}", "allow_private=true"]
        github = [f"base_url={self.urls['github']}", "client_id=Iv1.countersign", f"client_secret_file={self._secret('github', 'b4dc0ffee')}", "allow_private=true"]
        return [f"upstream.{name}.{one}" for name, rules in RULES.items() for one in [*acme, *rules]] + [f"upstream.github.{one}" for one in github]
