"""Speaks SMTP and LMTP with servers of its own and prints every row that must be told of it."""
import json, smtplib, socket, threading
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

PASSWORD = "never-shown-7"
MAILS = 300


def row(operation, resource, status):
    print(json.dumps([operation, resource, None if status is None else str(status)]))


class Server(Controller):
    def factory(self):
        def accepts(server, session, envelope, mechanism, data):
            return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

        return SMTP(self.handler, authenticator=accepts, auth_require_tls=False, data_size_limit=1 << 25)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("no"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 kept"


server = Server(Handler(), hostname="127.0.0.1", port=2525)
server.start()

# Every size, dots to be stuffed among them; each mail with an id.
client = smtplib.SMTP("127.0.0.1", 2525, "sizes")
row("EHLO", "sizes", client.ehlo()[0])
for i in range(MAILS):
    size = 10_000_000 if i == MAILS - 1 else (i * i * 7) % 20_000
    body = f"Subject: id {i}\r\nMessage-ID: <{i}@test>\r\n\r\n".encode() + (b"x" * 77 + b"\r\n.\r\n") * (size // 82)
    row("MAIL", f"<m{i}@test>", client.mail(f"m{i}@test")[0])
    row("RCPT", f"<r{i}@test>", client.rcpt(f"r{i}@test")[0])
    code = client.data(body)[0]
    row("DATA", None, code)
    row("mail", f"<m{i}@test> -> <r{i}@test>", code)
row("QUIT", None, client.quit()[0])

# Credentials, right and wrong.
for mechanism, password in [("plain", PASSWORD), ("login", PASSWORD), ("plain", "wrong" + PASSWORD)]:
    client = smtplib.SMTP("127.0.0.1", 2525, "auth")
    row("EHLO", "auth", client.ehlo()[0])
    client.user, client.password = "bob", password
    try:
        code = client.auth(mechanism.upper(), getattr(client, f"auth_{mechanism}"))[0]
    except smtplib.SMTPAuthenticationError as error:
        code = error.smtp_code
    row("AUTH", mechanism.upper(), code)
    client.close()

# Pipelined, one recipient refused.
stream = socket.create_connection(("127.0.0.1", 2525))
replies = stream.makefile("rb")
replies.readline()


def reply():
    while (line := replies.readline())[3:4] == b"-":
        pass
    return line[:3].decode()


stream.sendall(b"HELO pipes\r\n")
row("HELO", "pipes", reply())
stream.sendall(b"MAIL FROM:<p@test>\r\nRCPT TO:<a@test>\r\nRCPT TO:<no@test>\r\nVRFY a@test\r\nDATA\r\n")
for operation, resource in [("MAIL", "<p@test>"), ("RCPT", "<a@test>"), ("RCPT", "<no@test>"), ("VRFY", "a@test")]:
    row(operation, resource, reply())
assert reply() == "354"
stream.sendall(b"Subject: piped\r\n\r\n..\r\n.\r\nNOOP\r\nQUIT\r\n")
code = reply()
row("DATA", None, code)
row("mail", "<p@test> -> <a@test>, <no@test>", code)
row("NOOP", None, reply())
row("QUIT", None, reply())


# LMTP: a reply for each recipient that was taken.
def deliver(listener):
    stream, _ = listener.accept()
    lines = stream.makefile("rwb", 0)
    lines.write(b"220 store LMTP\r\n")
    while line := lines.readline():
        if line.upper().startswith(b"DATA"):
            lines.write(b"354 go on\r\n")
            while lines.readline() != b".\r\n":
                pass
            lines.write(b"250 2.0.0 for the first\r\n452 4.2.2 full, the second\r\n")
        else:
            lines.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")
    stream.close()


listener = socket.create_server(("127.0.0.1", 2400))
threading.Thread(target=deliver, args=[listener]).start()
client = smtplib.LMTP("127.0.0.1", 2400, "store")
row("LHLO", "store", client.docmd("LHLO", "store")[0])
row("MAIL", "<l@test>", client.mail("l@test")[0])
for name in ["a", "b"]:
    row("RCPT", f"<{name}@test>", client.rcpt(f"{name}@test")[0])
client.data(b"Subject: local\r\n\r\nhi\r\n")
assert client.getreply()[0] == 452
row("DATA", None, 452)
row("mail", "<l@test> -> <a@test>, <b@test>", 452)
row("QUIT", None, client.quit()[0])
server.stop()
