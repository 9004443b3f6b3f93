"""Speaks SMTP with a Postfix that it starts, and prints every row that must be told of it."""
import json, pathlib, shutil, smtplib, socket, ssl, subprocess, tempfile, time

PORT = 2626
MAILS = 100


def row(operation, resource, status):
    print(json.dumps([operation, resource, None if status is None else str(status)]))


def postfix(home):
    """Its folders and settings, all in `home`; mails are thrown away."""
    for folder in ["etc", "queue", "data"]:
        (home / folder).mkdir()
    shutil.chown(home / "data", "postfix")
    home.chmod(0o755)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx.test", "-days", "2"]
        + ["-keyout", home / "key.pem", "-out", home / "cert.pem"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": home / "queue",
        "data_directory": home / "data",
        "command_directory": "/usr/sbin",
        "daemon_directory": "/usr/lib/postfix/sbin",
        "myhostname": "mx.test",
        "mydestination": "test",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "mynetworks": "127.0.0.0/8",
        "local_recipient_maps": "",
        "alias_maps": "",
        "local_transport": "discard:",
        "default_transport": "discard:",
        "smtpd_recipient_restrictions": f"check_recipient_access texthash:{home}/etc/recipients, permit_mynetworks, reject",
        "smtpd_tls_cert_file": home / "cert.pem",
        "smtpd_tls_key_file": home / "key.pem",
        "smtpd_tls_security_level": "may",
        "message_size_limit": "30000000",
        "smtpd_error_sleep_time": "0",
        "smtpd_peername_lookup": "no",
        "maillog_file": home / "log",
        "maillog_file_prefixes": home,
    }
    (home / "etc/recipients").write_text("no@test REJECT\nlater@test DEFER\n")
    (home / "etc/main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    services = [f"127.0.0.1:{PORT} inet n - n - - smtpd", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr"]
    services += [f"{name} unix - - n - - {name}" for name in ["discard", "error", "retry", "smtp", "local", "proxymap"]]
    services += [f"{name} unix - - n - 0 bounce" for name in ["bounce", "defer", "trace"]]
    services += ["rewrite unix - - n - - trivial-rewrite", "tlsmgr unix - - n 1000? 1 tlsmgr"]
    services += ["anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "verify unix - - n - 1 verify"]
    services += ["flush unix n - n 1000? 0 flush", "showq unix n - n - - showq", "postlog unix-dgram n - n - 1 postlogd"]
    services += ["pickup unix n - n 60 1 pickup"]
    (home / "etc/master.cf").write_text("\n".join(services) + "\n")
    return ["postfix", "-c", home / "etc"]


class Raw:
    """A client that says what it is told to."""

    def __init__(self):
        self.stream = socket.create_connection(("127.0.0.1", PORT))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream.settimeout(20)
        self.lines = self.stream.makefile("rb")
        self.reply()

    def reply(self):
        while (line := self.lines.readline())[3:4] == b"-":
            pass
        return line[:3].decode()

    def ask(self, command):
        self.stream.sendall(command + b"\r\n")
        return self.reply()


def speak():
    # Every size, the way a library does it.
    client = smtplib.SMTP("127.0.0.1", PORT, "sizes")
    row("EHLO", "sizes", client.ehlo()[0])
    for i in range(MAILS):
        size = 10_000_000 if i == MAILS - 1 else i * i * 7
        body = f"Subject: id {i}\r\nMessage-ID: <{i}@test>\r\n\r\n".encode() + b".dotted\r\n" + b"x" * 77 * (size // 77)
        row("MAIL", f"<m{i}@test>", client.mail(f"m{i}@test")[0])
        names = ["a", "no", "later", "b"] if i % 10 == 3 else [f"r{i}"]
        for name in names:
            row("RCPT", f"<{name}@test>", client.rcpt(f"{name}@test")[0])
        code = client.data(body)[0]
        row("DATA", None, code)
        row("mail", f"<m{i}@test> -> " + ", ".join(f"<{name}@test>" for name in names), code)
    row("VRFY", "a@test", client.verify("a@test")[0])
    row("NOOP", None, client.noop()[0])
    row("RSET", None, client.rset()[0])
    row("QUIT", None, client.quit()[0])

    # In chunks, all of them sent before any reply.
    raw = Raw()
    row("EHLO", "chunks", raw.ask(b"EHLO chunks"))
    first, second = b"Subject: chunks\r\n\r\n", b".\r\nQUIT\r\n" * 1000
    front = b"MAIL FROM:<c@test>\r\nRCPT TO:<a@test>\r\nRCPT TO:<no@test>\r\n"
    raw.stream.sendall(
        front + b"BDAT %d\r\n%s" % (len(first), first) + b"BDAT %d LAST\r\n%s" % (len(second), second) + b"QUIT\r\n"
    )
    for operation, resource in [("MAIL", "<c@test>"), ("RCPT", "<a@test>"), ("RCPT", "<no@test>")]:
        row(operation, resource, raw.reply())
    row("BDAT", str(len(first)), raw.reply())
    code = raw.reply()
    row("BDAT", f"{len(second)} LAST", code)
    row("mail", "<c@test> -> <a@test>, <no@test>", code)
    row("QUIT", None, raw.reply())

    # From STARTTLS on nothing is told, and of what stands behind it no word.
    client = smtplib.SMTP("127.0.0.1", PORT, "secret")
    row("EHLO", "secret", client.ehlo()[0])
    row("STARTTLS", None, client.starttls(context=ssl._create_unverified_context())[0])
    client.sendmail("never@test", ["shown@test"], "Subject: never-shown-7\r\n\r\nhidden\r\n")
    client.quit()

    # An end of the message in pieces; then one that is never ended.
    raw = Raw()
    row("HELO", "pieces", raw.ask(b"HELO pieces"))
    row("MAIL", "<p@test>", raw.ask(b"MAIL FROM:<p@test>"))
    row("RCPT", "<a@test>", raw.ask(b"RCPT TO:<a@test>"))
    assert raw.ask(b"DATA") == "354"
    for piece in [b"Subject: pieces\r\n\r\nbody\r", b"\n", b".", b"\r", b"\n"]:
        raw.stream.sendall(piece)
        time.sleep(0.02)
    code = raw.reply()
    row("DATA", None, code)
    row("mail", "<p@test> -> <a@test>", code)
    row("FOO", "bar", raw.ask(b"FOO bar"))
    row("QUIT", None, raw.ask(b"QUIT"))


home = pathlib.Path(tempfile.mkdtemp(prefix="l7-postfix-"))
command = postfix(home)
try:
    started = subprocess.run(command + ["start"], capture_output=True, timeout=60)
    assert started.returncode == 0, started
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", PORT)).close()
            break
        except OSError:
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.1)
    speak()
finally:
    subprocess.run(command + ["stop"], capture_output=True, timeout=60)
    shutil.rmtree(home, ignore_errors=True)
