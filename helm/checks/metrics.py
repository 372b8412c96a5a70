"""Runs the service on a rendered configuration, and holds that every metric of alerts and dashboard is on its /metrics."""

import concurrent.futures
import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import yaml

import chart
import mounted

SUFFIXES = ("_bucket", "_sum", "_count")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def field(number, value):
    """A field of a message: a text or bytes, or a number."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(value)]) + value


def call(port, token, rpc, message):
    """A call by gRPC-Web, which needs no client of gRPC; what it answers does not matter."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/guardian.auth.v1.{rpc}",
        data=b"\0" + len(message).to_bytes(4, "big") + message,
        headers={"content-type": "application/grpc-web+proto", "authorization": f"Bearer {token}"},
    )
    try:
        urllib.request.urlopen(request, timeout=20).read()
    except urllib.error.URLError as error:
        print(f"{rpc}: {error}")


def log_in(port, token, name):
    message = field(1, "sample-kommun") + field(2, 1) + field(3, name) + field(4, "not the password")
    call(port, token, "LoginService/LoginWithPassword", message)


def served(port):
    """Names of metrics as queries name them."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    names = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:4]
            names |= {f"{name}_total"} if kind == "counter" else {name}
            if kind == "histogram":
                names |= {name + suffix for suffix in SUFFIXES}
    return names


def used():
    """Names in alerts and dashboard."""
    rules = yaml.safe_load((chart.CHART / "files" / "alerts.yaml").read_text())["rules"]
    dashboard = json.loads((chart.CHART / "files" / "dashboard.json").read_text())
    expressions = [rule["expr"] for rule in rules]
    for panel in dashboard["panels"]:
        expressions += [target["expr"] for target in panel.get("targets", [])]
    expressions += [each["query"] for each in dashboard["templating"]["list"]]
    return {name for text in expressions for name in re.findall(r"\bguardian_auth_\w+", text)}


def only_with_tls():
    """Metrics that a service without TLS of its own does not have, by their names in its source."""
    source = (chart.ROOT / "src" / "telemetry" / "watched.rs").read_text()
    names = set(re.findall(r'"(guardian_auth_certificate_\w+)"', source))
    return names | {f"{name}_total" for name in names}


def reasons():
    """Reasons in alerts that the proto file does not have."""
    known = set(re.findall(r"^  ERROR_REASON_(\w+) = \d+", (chart.ROOT / "proto/guardian/auth/v1/error_reason.proto").read_text(), re.M))
    text = (chart.CHART / "files" / "alerts.yaml").read_text()
    named = {name for group in re.findall(r'reason=~?"([^"]+)"', text) for name in group.split("|")}
    return named - known


def main():
    scratch = pathlib.Path(sys.argv[1])
    scratch.mkdir(parents=True, exist_ok=True)
    printed = subprocess.run([mounted.BINARY, "callers", "token", "sample-portal"], capture_output=True, text=True, check=True)
    token, digest = re.search(r"gat_\S+", printed.stdout)[0], re.search(r"\b[0-9a-f]{64}\b", printed.stdout)[0]
    grpc, ops = free_port(), free_port()
    changes = scratch / "values.yaml"
    changes.write_text(
        yaml.safe_dump(
            {
                "grpc": {"port": grpc, "tls": {"mode": "plaintextBehindProxy", "existingSecret": ""}},
                "ops": {"port": ops},
                # Away, so that its errors are counted.
                "redis": {"enabled": True},
                "callers": {"sample-portal": {"token_sha256": [digest]}},
                "config": {"hash": {"workers": 1, "queue": 1}},
                "networkPolicy": {"egress": {"redis": {"to": [{"podSelector": {}}]}}},
            }
        )
    )
    things = chart.objects(chart.render([chart.CHART / "ci" / "sqlite-values.yaml", changes]))
    parts = dict(mounted.containers(things, scratch))
    server = parts["Deployment-rel-guardian-auth-guardian-auth"]
    server.file.write_text(server.file.read_text().replace("0.0.0.0", "127.0.0.1"))
    with open(scratch / "log", "w+b") as log:
        done = server.run("migrate")
        if done.returncode:
            raise SystemExit(f"migrate: {done.stderr}")
        process = server.start("serve", log=log)
        try:
            for _ in range(100):
                health = [mounted.BINARY, "healthcheck", "--address", f"127.0.0.1:{ops}"]
                if subprocess.run(health, capture_output=True, check=False).returncode == 0 or process.poll() is not None:
                    break
                time.sleep(0.1)
            if process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"serve ended: {log.read().decode()}")
            # Logins, until more came at once than can be hashed; then more connections than one peer may have.
            for _ in range(20):
                with concurrent.futures.ThreadPoolExecutor(24) as pool:
                    list(pool.map(lambda number: log_in(grpc, token, f"nobody{number}"), range(48)))
                if "guardian_auth_hash_refused_total" in served(ops):
                    break
            connections = [socket.create_connection(("127.0.0.1", grpc)) for _ in range(110)]
            time.sleep(0.5)
            have = served(ops)
            for each in connections:
                each.close()
        finally:
            process.terminate()
            status = process.wait(60)
    wanted = used()
    missing = wanted - have - only_with_tls()
    unknown = reasons()
    for name in sorted(missing | unknown):
        print(f"- {name}: in alerts or dashboard, but not served")
    print(f"serve on a rendered configuration ended with {status}; {len(wanted)} metric names in alerts and dashboard, {len(have)} served, {len(missing)} missing, {len(unknown)} unknown reasons")
    raise SystemExit(1 if missing or unknown or status or len(wanted) < 20 else 0)


main()
