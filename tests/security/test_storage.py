"""STO: what is stored, and the keys to it."""

import datetime
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import ssl
import stat
import subprocess
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from place import wait_for
from service import SESSION_COOKIE, b64, document


def test_sto_01_private_keys_are_sealed(own):
    place = own()
    place.import_key()
    raw = place.key.private_bytes_raw()
    place.stop_and_settle()
    data = place.kept().read_bytes()
    assert raw not in data and b"PRIVATE KEY" not in data and bytes.fromhex("302e020100300506032b6570") not in data
    first, second = place.rows("SELECT kid, private_jwe FROM signing_keys LIMIT 2")
    with sqlite3.connect(place.kept()) as database:
        database.execute("UPDATE signing_keys SET private_jwe = ? WHERE kid = ?", (second[1], first[0]))
    code, said = place.starts()
    assert code != 0 and "key" in said.lower(), said


def test_sto_02_the_key_file_is_ours_alone(own):
    place = own()
    key = place.folder / "keys/master.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    place.kill()
    key.chmod(0o644)
    code, said = place.starts()
    assert code != 0 and "master.key" in said
    key.chmod(0o600)
    moved = key.with_name("moved.key")
    key.rename(moved)
    key.symlink_to(moved)
    assert place.starts()[0] != 0
    fresh = own(start=False)
    command = fresh.command(fresh.port, [], "migrate")
    subprocess.run(["sh", "-c", 'umask 000; exec "$@"', "sh", *command], cwd=fresh.folder, check=True, capture_output=True)
    for made in fresh.folder.rglob("*"):
        if made.is_file() and made.suffix != ".log":
            assert stat.S_IMODE(made.stat().st_mode) & 0o077 == 0, made


def test_sto_03_a_stolen_database_opens_nothing(own):
    place = own()
    user = place.sign_up()
    assert user.is_in(), "by the very header that what is stored is tried in"
    place.reset_token(user.email)
    assert place.post("/sign-in/magic-link", {"email": user.email}).status_code == 200
    texts = set()
    for (table,) in place.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in place.rows(f"SELECT * FROM {table}"):
            texts |= {str(v) for v in row if isinstance(v, str | bytes) and 8 < len(v) < 2_000}
    for text in texts:
        text = text.encode("ascii", "ignore").decode().replace("\n", "").replace("\r", "")
        for prefix in ("", "css_", "csr_"):
            assert place.get("/session", headers={"Authorization": f"Bearer {prefix}{text}"}).status_code == 401, text
        assert place.get("/session", headers={"Cookie": f"{SESSION_COOKIE}={text}"}).status_code == 401
        assert place.post("/reset-password", {"token": text, "newPassword": "another good password"}).status_code == 400
        led = place.post("/magic-link/verify", {"token": text})
        assert led.status_code == 400 or led.headers["location"].endswith("error=INVALID_TOKEN"), text
    assert place.rotate(user.refresh).status_code == 200


def test_sto_04_a_restored_backup(own):
    place = own()
    user = place.sign_up()
    place.stop_and_settle()
    shutil.copy(place.kept(), place.folder / "backup.db")
    place.serve()
    user.post("/sign-out")
    assert place.rotate(user.refresh).status_code == 401
    place.stop_and_settle()
    shutil.copy(place.folder / "backup.db", place.kept())
    place.do("sessions", "revoke", "--all", "--yes")
    place.serve()
    assert place.rotate(user.refresh).status_code == 401 and not user.is_in()
    assert "sessions revoke --all" in document("docs", "operations.md")


def test_sto_05_backups(own):
    place = own()
    user = place.sign_up()
    with sqlite3.connect(place.kept()) as live, sqlite3.connect(place.folder / "copy.db") as copy:
        live.backup(copy)
    place.kill()
    for leftover in place.kept().parent.glob("countersign.db*"):
        leftover.unlink()
    shutil.move(place.folder / "copy.db", place.kept())
    place.kept().chmod(0o600)
    place.serve()
    assert place.sign_in(user.email).id == user.id
    words = document("docs", "operations.md").lower()
    assert "backup" in words and "master" in words


def test_sto_06_no_core_and_nothing_in_debug(own):
    place = own()
    limits = pathlib.Path(f"/proc/{place.processes[0].pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0", limits)
    code, said = place.starts("server.listen=nonsense", COUNTERSIGN_MASTER_KEY="a-secret-that-must-not-be-shown")
    assert "must-not-be-shown" not in said


def test_sto_07_a_role_without_ddl(service):
    words = document("docs", "operations.md")
    assert "database.migrate" in document("docs", "settings.md") and "migrate" in words
    assert service.run("migrate", "--dry-run").returncode == 0


def test_sto_08_migrations(own):
    place = own()
    place.stop_and_settle()
    with sqlite3.connect(place.kept()) as database:
        database.execute("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = (SELECT MIN(version) FROM _sqlx_migrations)")
    code, said = place.starts()
    assert code != 0 and "migration" in said.lower()
    newer = own()
    newer.stop_and_settle()
    with sqlite3.connect(newer.kept()) as database:
        for version in (9_001, 9_002):
            database.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (?, 'future', 1, x'00', 0)", (version,))
    code, said = newer.starts()
    assert code != 0 and "newer" in said.lower(), said


def test_sto_09_the_files_of_sqlite(own):
    place = own()
    place.sign_up()
    for file in place.kept().parent.glob("countersign.db*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert place.rows("PRAGMA journal_mode") == [("wal",)]


def certificate(folder, name: str, host: str, authority=None):
    """A certificate for a host, signed by an authority or by itself, as files; and what signs the next ones."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issuer = authority or (key, subject)
    begins = datetime.datetime(2020, 1, 1)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(begins).not_valid_after(begins + datetime.timedelta(days=36_500))
    made = made.add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False).sign(signer, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(private)
    return key, subject


class Postgres:
    """As much of a Postgres server as a client sees before it has said who it is; keeps what came after the question about TLS."""

    def __init__(self, folder, name: str | None):
        self.context = None
        if name:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        self.heard, self.asked = b"", 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    self.asked += len(connection.recv(8)) == 8
                    connection.sendall(b"S" if self.context else b"N")
                    if self.context:
                        connection = self.context.wrap_socket(connection, server_side=True)
                    self.heard += connection.recv(1_000)
                except (OSError, ssl.SSLError):
                    pass
                finally:
                    connection.close()

    def stop(self):
        self.listener.close()


def test_sto_10_tls_to_postgres(own, tmp_path):
    """With `verify-full` the name of the user, and all that comes after it, is sent only to a server whose certificate is of the authority and the host."""
    words = document("docs", "settings.md") + document("docs", "operations.md")
    assert "verify-full" in words
    authority = certificate(tmp_path, "authority", "authority.example")
    certificate(tmp_path, "good", "localhost", authority)
    certificate(tmp_path, "elsewhere", "db.example.com", authority)
    certificate(tmp_path, "stranger", "localhost")
    heard = {}
    for server in ("good", "elsewhere", "stranger", None):
        postgres = Postgres(tmp_path, server)
        place = own(start=False)
        url = f"postgres://nutzer:geheim@localhost:{postgres.port}/x?sslmode=verify-full&sslrootcert={tmp_path}/authority.pem"
        code, said = place.starts("database.acquire_timeout=2s", COUNTERSIGN_DATABASE__URL=url)
        postgres.stop()
        assert code != 0 and "geheim" not in said, said
        assert postgres.asked > 0, said
        heard[server] = b"nutzer" in postgres.heard
    assert heard == {"good": True, "elsewhere": False, "stranger": False, None: False}


def test_sto_11_found_by_hash(service):
    columns = {t: [c[1] for c in service.rows(f"PRAGMA table_info({t})")] for t in ("sessions", "accounts")}
    assert "token_hash" in columns["sessions"] and "refresh_hash" in columns["sessions"] and not {"token", "refresh_token"} & set(columns["sessions"])


def test_sto_12_what_is_over_goes(own):
    place = own("sessions.idle_ttl=2d", "sessions.absolute_ttl=3d", "log.level=info")
    user = place.sign_up()
    assert place.post("/email-otp/send-verification-otp", {"email": user.email, "type": "sign-in"}).status_code == 200
    place.settled()
    assert place.rows("SELECT COUNT(*) FROM login_codes") == [(1,)]
    place.kill()
    place.confirm_clock(60 * 86_400)
    place.serve(clock=60 * 86_400)
    wait_for(lambda: place.rows("SELECT COUNT(*) FROM sessions") == place.rows("SELECT COUNT(*) FROM login_codes") == [(0,)], 30)


def test_sto_13_one_source_of_chance(service):
    rules = document("clippy.toml")
    assert "getrandom" in document("Cargo.toml") and "rand" in rules
    values = {service.sign_up().token for _ in range(20)}
    assert len(values) == 20


def test_sto_14_secrets_come_in_quietly(own):
    place = own(start=False)
    for weak in ("changeme", "secret", "a" * 64, "A" * 43, "password"):
        code, said = place.starts(COUNTERSIGN_MASTER_KEY=weak)
        assert code != 0 and weak not in said, (weak, said)
    place.serve()
    user = place.sign_up()
    help_ = place.run("users", "set-password", "--help").stdout
    assert "--password" not in help_ and place.run("users", "set-password", user.email, "a password here").returncode == 2
    command = pathlib.Path(f"/proc/{place.processes[0].pid}/cmdline").read_bytes()
    assert (place.folder / "keys/master.key").read_bytes().strip() not in command


def test_sto_15_another_master_key_opens_nothing(own):
    place = own()
    place.sign_up()
    before = place.rows("SELECT kid FROM signing_keys ORDER BY kid")
    place.stop_and_settle()
    other = place.folder / "other.key"
    other.write_text(b64(os.urandom(32)))
    other.chmod(0o600)
    code, said = place.starts(COUNTERSIGN_MASTER_KEY_FILE=str(other))
    assert code != 0 and "master key" in said.lower() and place.rows("SELECT kid FROM signing_keys ORDER BY kid") == before
    assert "rewrap" in place.run("keys", "--help").stdout


def test_sto_16_an_inventory_of_cryptography():
    words = document("docs", "cryptography.md")
    for word in ("Ed25519", "argon2id", "SHA-256", "A256GCM", "HKDF", "HMAC", "quantum"):
        assert word in words, word
