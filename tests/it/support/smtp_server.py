"""An SMTP server for tests, in a process of its own: takes mails into files, and misbehaves on demand.

Started by smtp.rs with one argument, a directory. In it lie:

  settings.json   read at the start: port, tls ("none", "starttls", "implicit"), login ([user, password] or null),
                  mechanisms (of AUTH)
  cert.pem, key.pem   the certificate, unless tls is "none"
  behaviour.json  read at each stage of each conversation: {"all": FAULT or null, "recipients": {address: FAULT}};
                  a FAULT is {"at": stage, "do": "answer", "stall" or "drop", "reply": text of an answer}
  ready           written once connections are taken
  journal         a line for each connection ("3 connected") and for each command in it ("3 EHLO")
  taken/          a file for each mail that was taken: <number>.json

Stages: "greeting", "mail", "recipient", "data" (before content is asked for), "content" (after the content, which is
not kept), "answer" (after the content, which is kept).
"""

import asyncio
import email
import email.policy
import functools
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

directory = pathlib.Path(sys.argv[1])
settings = json.loads((directory / "settings.json").read_text())
taken = directory / "taken"
connections = 0


def write_whole(path, text):
    """Whoever sees the file sees all of it."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    os.replace(unfinished, path)


def note(line):
    with open(directory / "journal", "a") as journal:
        journal.write(line + "\n")


def fault(stage, recipients):
    """The fault of this stage: that of a recipient, or that of everybody."""
    behaviour = json.loads((directory / "behaviour.json").read_text())
    of_recipients = [behaviour["recipients"][address] for address in recipients if address in behaviour["recipients"]]
    for candidate in of_recipients or [behaviour["all"]]:
        if candidate and candidate["at"] == stage:
            return candidate
    return None


def text_of(message, kind):
    part = message.get_body(preferencelist=(kind,))
    return part.get_content().replace("\r\n", "\n") if part else ""


def keep(envelope):
    raw = envelope.original_content
    message = email.message_from_bytes(raw, policy=email.policy.default)
    mail = {
        "envelope_from": envelope.mail_from,
        "recipients": envelope.rcpt_tos,
        "headers": [[name, str(value)] for name, value in message.items()],
        "plain": text_of(message, "plain"),
        "html": text_of(message, "html"),
        "raw": raw.decode("latin-1"),
    }
    number = len(list(taken.glob("*.json")))
    write_whole(taken / f"{number:06}.json", json.dumps(mail))


class Conversation(SMTP):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        global connections
        connections += 1
        self.number = connections

    async def misbehave(self, stage, recipients=()):
        """Gives the reply of this stage that is not the usual one, or never returns, or returns nothing."""
        met = fault(stage, recipients)
        if met is None:
            return None
        if met["do"] == "stall":
            while fault(stage, recipients) == met:
                await asyncio.sleep(0.01)
            return None
        if met["do"] == "drop":
            self.transport.abort()
        elif not met["reply"].startswith("421"):
            return met["reply"]
        else:
            await self.push(met["reply"])
            self.transport.close()
        # The end of the connection cancels this task.
        await asyncio.get_running_loop().create_future()

    async def _handle_client(self):
        note(f"{self.number} connected")
        reply = await self.misbehave("greeting")
        if reply:
            await self.push(reply)
            self.transport.close()
            return
        await super()._handle_client()

    async def smtp_DATA(self, argument):
        reply = await self.misbehave("data", self.envelope.rcpt_tos)
        if reply:
            await self.push(reply)
            return
        await super().smtp_DATA(argument)


def noting(name):
    """The method of a command, with a line in the journal."""
    method = getattr(Conversation, name)

    @functools.wraps(method)
    async def noted(self, argument):
        note(f"{self.number} {name.removeprefix('smtp_')}")
        await method(self, argument)

    return noted


for command in ("EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"):
    setattr(Conversation, f"smtp_{command}", noting(f"smtp_{command}"))


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if settings["login"]:
            return responses
        # aiosmtpd offers AUTH whether it can be had or not.
        return [line for line in responses if not line.startswith("250-AUTH")]

    async def handle_MAIL(self, server, session, envelope, address, options):
        reply = await server.misbehave("mail")
        if reply:
            return reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = await server.misbehave("recipient", [address])
        if reply:
            # Real servers quote the address.
            return f"{reply} <{address}>"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        reply = await server.misbehave("content", envelope.rcpt_tos)
        if reply:
            return f"{reply} <{envelope.rcpt_tos[0]}>"
        keep(envelope)
        return await server.misbehave("answer", envelope.rcpt_tos) or "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    matches = [data.login.decode(), data.password.decode()] == settings["login"]
    # Not handled: the refusal is still to be said.
    return AuthResult(success=matches, handled=False)


def conversation(context):
    options = {}
    if settings["tls"] == "starttls":
        options.update(tls_context=context, require_starttls=True)
    if settings["login"]:
        known = {"PLAIN", "LOGIN"}
        options.update(
            authenticator=authenticate,
            auth_required=True,
            # With TLS from the first byte, aiosmtpd does not know that there is any.
            auth_require_tls=settings["tls"] == "starttls",
            auth_exclude_mechanism=known - set(settings["mechanisms"]),
        )
    return Conversation(Handler(), hostname="localhost", ident="test", **options)


async def main():
    context = None
    if settings["tls"] != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    taken.mkdir(exist_ok=True)
    server = await asyncio.get_running_loop().create_server(
        lambda: conversation(context),
        "127.0.0.1",
        settings["port"],
        ssl=context if settings["tls"] == "implicit" else None,
    )
    (directory / "ready").touch()
    await server.serve_forever()


asyncio.run(main())
