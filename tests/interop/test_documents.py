"""Every fenced block of the documents is run, or says why it is not; every link of theirs leads somewhere.

docs/tests.md says what each mark means. The last lines of a run count the blocks that ran and list the others.
"""

import configparser
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib

import blocks
import httpx
import kubernetes_validate
import proxies
import pytest
import yaml
from blocks import ALL, RAN, marked
from desk import Desk
from place import BINARY, NODE, PASSWORD, ROOT, Place, free_port, wait_for

PACKAGES = ROOT / "target/interop/documents"
def ids(found: list[blocks.Block]) -> list[str]:
    return [block.place for block in found]


@pytest.fixture
def desk(tmp_path, request):
    desk = Desk(tmp_path, getattr(request, "param", ""))
    yield desk
    desk.stop()


def assert_output(block: blocks.Block, wanted: str, got: str):
    """Compares both but for white space at the ends of lines; `…` stands for anything."""
    wanted, got = ("\n".join(line.rstrip() for line in text.rstrip().splitlines()) for text in (wanted, got))
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    assert re.fullmatch(pattern, got, re.DOTALL), f"{block.place} shows\n{wanted}\nbut it is\n{got}"
    RAN.add(block.place)


def test_every_block_has_a_mark_or_a_reason():
    problems = [f"{block.place}: {wrong}" for block in ALL if (wrong := blocks.problem(block))]
    assert not problems, "\n".join(problems)
    assert len(ALL) > 60, "the blocks were found"


def test_a_block_without_a_mark_and_one_with_an_unknown_mark_are_found():
    text = textwrap.dedent("""
        ```sh run
        true
        ```

        ```sh
        false
        ```

        <!-- not run: no reason to -->
        ```sh
        false
        ```

        ```ruby run
        ```

        <!-- not run: but it is -->
        ```sh run
        ```
    """)
    found = blocks.parse("page.md", text)
    assert [blocks.problem(block) is None for block in found] == [True, False, True, False, False]
    assert found[0].text == "true\n" and found[2].reason == "no reason to"


@pytest.mark.parametrize("page", blocks.pages())
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert not blocks.broken_links(page)


def test_every_guide_is_in_the_index_and_tells_whom_it_is_for():
    index = (ROOT / "docs/README.md").read_text()
    for guide in sorted((ROOT / "docs/guides").glob("*.md")):
        assert f"](guides/{guide.name})" in index, f"{guide.name} is missing in docs/README.md"
        text = guide.read_text()
        assert re.match(r"# [^\n]+\n\nFor \w+ [^\n]+", text), f"{guide.name} does not begin with whom it is for"
        assert "See also: " in text, guide.name
    documents = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert not [name for name in documents if f"({name}" not in index]
    assert "](docs/README.md)" in (ROOT / "README.md").read_text()


GUIDES = [page for page in blocks.pages() if page.startswith("docs/guides/")]


def spans(page: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", blocks.without_blocks((ROOT / page).read_text())))


def told(*arguments: str) -> str:
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=True).stdout


def test_guides_name_settings_and_codes_that_exist():
    known = {item["setting"] for item in json.loads(told("config", "show", "--output", "json"))["items"]}
    sections = {setting.split(".")[0] for setting in known}
    codes = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
    named, unknown = 0, []
    for page in GUIDES:
        for span in spans(page):
            setting = re.match(r"([a-z_]+\.[a-z_0-9]+)(?: ?[=:≥].*)?$", span)
            if setting and setting[1].split(".")[0] in sections and not re.search(r"\.(rs|md|html|txt|yaml|json|toml|key|reused|revoked)$", setting[1]):
                named += 1
                unknown += [] if setting[1] in known or setting[1].startswith(("tokens.claims", "roles.")) else [f"{page}: {span}"]
            if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", span) and not span.startswith("COUNTERSIGN"):
                named += 1
                unknown += [] if span in codes else [f"{page}: {span}"]
    assert not unknown, "\n".join(unknown)
    assert named > 50, named


def commands(page: str) -> set[tuple[str, ...]]:
    """The commands that a page names, in a block or in the text, each with its options."""
    text = "\n".join([*spans(page), *(block.text for block in ALL if block.page == page and block.language == "sh")])
    text = text.replace("\\\n", " ")
    nouns = re.findall(r"(?m)^  ([a-z]+)  ", told("--help").split("Options:")[0])
    found = re.findall(rf"(?:\bcountersign |^)((?:{'|'.join(nouns)})(?![\w.-])(?: [^`\n|<>;&#]*)?)", text, re.MULTILINE)
    return {tuple(line.split()) for line in found}


def test_guides_name_commands_and_options_that_exist():
    verbs, helps, unknown = re.compile(r"[a-z]+(-[a-z]+)*$"), {}, []

    def explained(path: tuple[str, ...]) -> str | None:
        if path not in helps:
            done = subprocess.run([BINARY, *path, "--help"], capture_output=True, text=True, check=False)
            helps[path] = done.stdout if done.returncode == 0 else None
        return helps[path]

    assert explained(("users", "list")) and explained(("users", "lists")) is None
    seen = 0
    for page in GUIDES:
        for command in commands(page):
            path = command[:1]
            if len(command) > 1 and "Commands:" in (explained(path) or "") and verbs.match(command[1]):
                path = command[:2]
            text = explained(path)
            options = [part.split("=")[0] for part in command if part.startswith("--")]
            seen += 1
            if text is None or [option for option in options if option not in text]:
                unknown.append(f"{page}: {' '.join(command)}")
    assert not unknown, "\n".join(unknown)
    assert seen > 40, seen


SHELL = ("sh run", "sh dev", "python run", "ts run", "ts vite")


@functools.cache
def pages_that_run() -> list[str]:
    return sorted({block.page for block in marked(*SHELL)})


@pytest.mark.parametrize("desk", pages_that_run(), indirect=True)
def test_the_blocks_of_a_page_run_one_after_another(desk):
    said = ""
    for block in [block for block in ALL if block.page == desk.page and block.reason is None]:
        if block.kind in SHELL:
            desk.need("dev" if block.mark == "dev" else "serve")
        match block.kind:
            case "sh run" | "sh dev":
                said = desk.shell(block)
            case "python run":
                said = desk.run([sys.executable, "-c", desk.here(block.text)], block)
            case "ts run":
                said = desk.run([NODE, str(bundled(desk, block))], block)
            case "ts vite":
                through_vite(desk, block)
            case "text output":
                assert_output(block, desk.here(block.text), said)


def bundled(desk: Desk, block: blocks.Block) -> pathlib.Path:
    """The program of a block, with the blocks that it imports."""
    for other in marked("ts types", "ts run"):
        if other.page == desk.page and other.arguments:
            (desk.folder / other.arguments[0]).write_text(desk.here(other.text))
    out = desk.folder / "bundle.mjs"
    command = [str(PACKAGES / "node_modules/.bin/esbuild"), str(desk.folder / block.arguments[0]), "--bundle", "--platform=node", "--format=esm", f"--outfile={out}", "--log-level=warning"]
    subprocess.run(command, check=True, capture_output=True)
    return out


def through_vite(desk: Desk, block: blocks.Block):
    """Signs up and refreshes through the proxy of Vite, whose URL is the public one."""
    port = free_port()
    project = PACKAGES / f"vite-{port}"
    project.mkdir()
    process = None
    try:
        (project / block.arguments[0]).write_text(desk.here(block.text).replace("5173", str(port)))
        (project / "index.html").write_text("<title>the app</title>")
        with open(desk.folder / "vite.log", "wb") as log:
            process = subprocess.Popen([NODE, "../node_modules/vite/bin/vite.js"], cwd=project, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        base = f"http://localhost:{port}"

        def up():
            assert process.poll() is None, (desk.folder / "vite.log").read_text()
            return httpx.get(f"{base}/").status_code == 200

        wait_for(up)
        # The settings of the page name Vite's own port; this is the port of the test.
        desk.stop()
        settings = desk.work / "countersign.toml"
        settings.write_text(settings.read_text().replace("localhost:5173", f"localhost:{port}"))
        desk.serve(["serve"])
        with httpx.Client(base_url=base, headers={"origin": base}) as browser:
            form = {"name": "Vera", "email": "vera@example.com", "password": PASSWORD}
            assert browser.post("/api/auth/sign-up/email", json=form).status_code == 200
            assert browser.post("/api/auth/refresh", json={}).json()["accessToken"]
            assert browser.get("/auth/account").status_code == 200
            assert browser.get("/.well-known/openid-configuration").json()["issuer"] == base
            assert "the app" in browser.get("/author").text, "a path of the application that begins like one of the service"
    finally:
        if process:
            process.terminate()
            process.wait(20)
        shutil.rmtree(project)
    RAN.add(block.place)


@pytest.mark.parametrize("block", marked("toml config"), ids=ids(marked("toml config")))
def test_settings_are_accepted(desk, block):
    (desk.work / "countersign.toml").write_text(desk.here(block.text))
    del desk.environment["COUNTERSIGN_SERVER__LISTEN"]
    done = subprocess.run([BINARY, "config", "check"], cwd=desk.work, env=desk.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    if "clean" in block.arguments:
        warnings = [line for line in done.stderr.splitlines() if line.startswith("!")]
        assert not warnings and "✓" in done.stderr, warnings
    RAN.add(block.place)


def test_settings_that_do_not_exist_are_refused_here(desk):
    (desk.work / "countersign.toml").write_text('[server]\npublic_url = "https://auth.example.com"\n')
    check = [BINARY, "config", "check"]
    assert subprocess.run(check, cwd=desk.work, env=desk.environment, capture_output=True, check=False).returncode == 0
    (desk.work / "countersign.toml").write_text('[server]\npublic_ulr = "https://auth.example.com"\n')
    assert subprocess.run(check, cwd=desk.work, env=desk.environment, capture_output=True, check=False).returncode == 78


EXAMPLE = ROOT / "examples/countersign.toml"
SETTING = re.compile(r"^#([a-z_0-9]+ = .*)$", re.MULTILINE)


def flat(values: dict, prefix: str = "") -> dict[str, object]:
    found = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        found.update(flat(value, f"{key}.") if isinstance(value, dict) else {key: value})
    return found


def test_the_complete_settings_file_has_every_setting_with_its_default_and_the_program_starts_with_it(desk):
    text = EXAMPLE.read_text()
    # As it stands it sets nothing; with every line taken in it is all defaults.
    assert flat(tomllib.loads(text)) == {}
    whole = flat(tomllib.loads(SETTING.sub(r"\1", text)))
    for name in ("SERVER__LISTEN", "SERVER__OPS_LISTEN", "PASSWORDS__ARGON2_MEMORY_KIB", "PASSWORDS__ARGON2_ITERATIONS"):
        del desk.environment[f"COUNTERSIGN_{name}"]
    shown = json.loads(subprocess.run([BINARY, "config", "show", "--output", "json"], cwd=desk.work, env=desk.environment, capture_output=True, check=True).stdout)
    defaults = {item["setting"]: item["value"] for item in shown["items"]}
    names_of_ones_own = {"roles.editor", "tokens.claims.department"}
    assert whole.keys() - names_of_ones_own == defaults.keys()
    # The number of cores differs from machine to machine.
    for key in defaults.keys() - {"passwords.threads"}:
        value = whole[key]
        written = ", ".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
        assert written == str(defaults[key]), key
    above = ["", *text.splitlines()]
    for line, before in zip(text.splitlines(), above):
        assert not SETTING.match(line) or (before.startswith("# ") and before.endswith(".")) or before.startswith("[tokens.claims]") or before.startswith("[roles]"), f"nothing says when to change {line}"
    (desk.work / "countersign.toml").write_text(desk.here(SETTING.sub(r"\1", text)))
    desk.environment["COUNTERSIGN_SERVER__OPS_LISTEN"] = "off"
    desk.serve(["serve"])


PROXIES = marked("nginx proxy", "caddyfile proxy")
# The path of the public URL of each place.
MOUNTS = {"sub-domain": "", "one-domain": "", "sub-path": "/id"}


@pytest.mark.parametrize("block", PROXIES, ids=[f"{block.language}-{block.arguments[0]}" for block in PROXIES])
def test_a_browser_signs_in_through_the_proxy(desk, block):
    (name,) = block.arguments
    settings = next(other for other in marked("toml config") if other.page == block.page and name in other.arguments)
    public = tomllib.loads(settings.text)["server"]["public_url"]
    (desk.work / "countersign.toml").write_text(settings.text)
    desk.serve(["serve"])
    host = re.match(r"https://([^/]+)", public)[1]
    certificate = proxies.make_certificate(desk.folder, host)
    ports = {80: free_port(), 443: free_port()}
    start = proxies.nginx if block.language == "nginx" else proxies.caddy
    with proxies.application() as application:
        upstreams = {"127.0.0.1:4000": f"127.0.0.1:{desk.port}", "127.0.0.1:3000": f"127.0.0.1:{application}"}
        with start(block.text, desk.folder, ports, upstreams), proxies.browser(certificate, ports) as browser:
            proxies.converse(browser, public, MOUNTS[name], has_application=name != "sub-domain")
            proxies.ask_without_tls(browser, host, MOUNTS[name])
    RAN.add(block.place)


def objects(text: str) -> list[dict]:
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("block", marked("yaml kubernetes"), ids=ids(marked("yaml kubernetes")))
def test_kubernetes_knows_every_key(block):
    for found in objects(block.text):
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    RAN.add(block.place)


def test_the_kubernetes_example_is_valid_and_a_misspelt_key_is_not():
    found = objects((ROOT / "examples/kubernetes.yaml").read_text())
    for each in found:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    found[0]["spec"]["replcas"] = found[0]["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found[0], kubernetes_validate.latest_version(), strict=True)


def image() -> tuple[dict[str, str], set[str]]:
    """The environment and the volumes of the image, by the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text()
    environment = dict(pair.split("=", 1) for pair in re.search(r"^ENV (.+)$", text, re.MULTILINE)[1].split())
    return environment, set(json.loads(re.search(r"^VOLUME (.+)$", text, re.MULTILINE)[1]))


def assert_environments_are_taken(desk, services: dict[str, dict]):
    for name, service in services.items():
        environment = {**image()[0], **{key: str(value) for key, value in service["environment"].items()}}
        done = subprocess.run([BINARY, "config", "check"], cwd=desk.work, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"


@pytest.mark.parametrize("block", marked("yaml compose"), ids=ids(marked("yaml compose")))
def test_the_program_takes_the_environment_of_each_container(desk, block):
    (file,) = objects(block.text)
    assert_environments_are_taken(desk, file["services"])
    for service in file["services"].values():
        volumes = dict(volume.split(":") for volume in service["volumes"])
        assert volumes.keys() == file["volumes"].keys() and set(volumes.values()) == image()[1]
    RAN.add(block.place)


def test_the_program_takes_the_environments_of_the_compose_example(desk):
    (file,) = objects((ROOT / "examples/compose.yaml").read_text())
    ours = {name: service for name, service in file["services"].items() if "build" in service}
    assert ours.keys() == {"a", "b"}
    assert_environments_are_taken(desk, ours)
    named = {secret for service in file["services"].values() for secret in service["secrets"]}
    assert named == file["secrets"].keys()


def test_units_of_systemd_are_understood(tmp_path):
    """`systemd-analyze verify` names each key and value that it does not understand, and then ends with 0 all the same."""
    verify = shutil.which("systemd-analyze")
    assert verify, "install Debian's package systemd"

    def said(units: dict[str, str]) -> str:
        shutil.rmtree(tmp_path / "units", ignore_errors=True)
        for name, text in units.items():
            file = tmp_path / "units" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("/usr/local/bin/countersign", BINARY))
        names = [str(tmp_path / "units" / name) for name in units if "/" not in name]
        done = subprocess.run([verify, "verify", "--man=no", *names], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
        ours = [line for line in done.stderr.splitlines() if "countersign" in line]
        return "\n".join(ours) or str(done.returncode)

    units = {"countersign.service": (ROOT / "examples/countersign.service").read_text()}
    found = marked("ini systemd")
    for block in found:
        name = re.match(r"# /etc/systemd/system/(\S+)\n", block.text)[1]
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str
        parser.read_string(block.text)
        units[name] = block.text
    assert said(units) == "0"
    assert "Unknown key" in said({**units, "countersign.service": units["countersign.service"].replace("UMask=", "UMaks=")})
    for block in found:
        RAN.add(block.place)


TYPED = marked("ts types", "tsx types", "ts run", "ts vite")


def compiled(found: list[blocks.Block], change=lambda text: text) -> str:
    folder = PACKAGES / "blocks"
    shutil.rmtree(folder, ignore_errors=True)
    for block in found:
        file = folder / pathlib.Path(block.page).stem / block.arguments[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change(block.text))
    shutil.copy(ROOT / "tests/interop/documents/tsconfig.json", PACKAGES)
    done = subprocess.run([NODE, "node_modules/typescript/bin/tsc", "-p", "."], cwd=PACKAGES, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == (not done.stdout), done.stderr
    return done.stdout


def test_typescript_has_the_right_types():
    assert compiled(TYPED) == ""
    few = [block for block in TYPED if block.page.endswith("password-reset.md")]
    assert "TS2322" in compiled(few, lambda text: text.replace('"INVALID_TOKEN" };', "1 };")), "a wrong type is found"
    for block in TYPED:
        if block.kind in ("ts types", "tsx types"):
            RAN.add(block.place)


@pytest.mark.parametrize("block", marked("python compile", "python backend"), ids=ids(marked("python compile", "python backend")))
def test_python_compiles_and_a_backend_takes_good_tokens_alone(tmp_path, block):
    compile(block.text, block.place, "exec")
    if block.mark == "backend":
        (tmp_path / "main.py").write_text(block.text)
        place = Place(tmp_path)
        try:
            place.serve()
            port = free_port()
            backend = place.start([sys.executable, "-m", "uvicorn", "main:app", "--app-dir", str(tmp_path), "--port", str(port)], port)
            token = place.sign_in()["accessToken"]
            assert httpx.get(f"{backend}/me", headers={"authorization": f"Bearer {token}"}).status_code == 200
            head, body, signature = token.split(".")
            for bad in (f"{head}.{body}.{signature[:-4]}AAAA", "x"):
                assert httpx.get(f"{backend}/me", headers={"authorization": f"Bearer {bad}"}).status_code == 401
            if "/notes" in block.text:
                assert httpx.get(f"{backend}/notes", headers={"authorization": f"Bearer {token}"}).status_code == 403
        finally:
            place.stop()
    RAN.add(block.place)


def test_data_can_be_read():
    for block in marked("yaml parse", "json parse"):
        assert list(yaml.safe_load_all(block.text))
        RAN.add(block.place)


def test_the_page_of_the_api_is_built_from_the_present_description_and_loads_nothing(tmp_path):
    out = tmp_path / "api.html"
    done = subprocess.run([str(ROOT / "docs/api/build.sh"), str(out)], capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "PATH": f"{pathlib.Path(shutil.which(NODE)).parent}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    page = out.read_text()
    description = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    operations = [operation["operationId"] for path in description["paths"].values() for operation in path.values() if isinstance(operation, dict)]
    assert len(operations) > 40 and not [operation for operation in operations if operation not in page]
    # Forms of the document before its scripts, which hold such texts.
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?!data:|#)([^\"'\s>]+)", page.split("<script")[0])
    assert not tags and "default-src 'none'" in page and not re.search(r"<script[^>]*\bsrc=", page) and "logo-mini" not in page


def keys_without_a_value(value, path: str = "") -> list[str]:
    if isinstance(value, list):
        return [found for at, each in enumerate(value) for found in keys_without_a_value(each, f"{path}[{at}]")]
    if not isinstance(value, dict):
        return []
    return [found for key, each in value.items() for found in ([f"{path}: {key}"] if each is None else keys_without_a_value(each, f"{path}/{key}"))]


def test_no_sentence_of_the_description_ends_at_a_comma():
    """In `{ description: a, b }` the text is `a`, and `b` is another key."""
    assert keys_without_a_value(yaml.safe_load("{ description: a, b }")) == [": b"]
    assert keys_without_a_value(yaml.safe_load((ROOT / "openapi.yaml").read_text())) == []


def test_and_this_is_what_ran(capsys):
    """The count. In a run of chosen tests, or of several workers, it counts what ran there."""
    reasons = {}
    for block in ALL:
        if block.reason is not None:
            reasons.setdefault(block.reason, []).append(block.place)
    runnable = [block for block in ALL if block.reason is None]
    kinds = {}
    for block in runnable:
        if block.place in RAN:
            kinds[block.kind] = kinds.get(block.kind, 0) + 1
    with capsys.disabled():
        print(f"\ndocuments: {len(ALL)} blocks; {len(RAN)} ran ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})")
        print(f"{len(ALL) - len(runnable)} did not:")
        for reason, places in sorted(reasons.items()):
            print(f"  {reason}: {', '.join(places)}")
    if len(RAN) > len(runnable) / 2 and "PYTEST_XDIST_WORKER" not in os.environ:
        missing = [block.place for block in runnable if block.place not in RAN]
        assert not missing, "no test has run these, or it has failed"
