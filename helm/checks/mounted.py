"""A rendered configuration on this machine: dummy files where the pod has its Secrets, and the paths changed to them."""

import base64
import hashlib
import os
import pathlib
import subprocess

import chart

BINARY = os.environ.get("GUARDIAN_AUTH", str(chart.ROOT / "target" / "debug" / "guardian-auth"))
# Nobody listens on port 1: dependencies are refused at once.
CONTENT = {
    "database/url": b"postgres://guardian@127.0.0.1:1/guardian",
    "migration/url": b"postgres://owner@127.0.0.1:1/guardian",
    "redis/url": b"rediss://127.0.0.1:1/0",
    "redis/password": b"not a password",
    "redis/sentinel-password": b"not a password",
    "mail/password": b"not a password",
    "sms/password": b"not a password",
    "traces/headers": b"authorization: Bearer not-a-token",
}


def make_certificate(directory):
    """A certificate that signed itself, for the server and as the authority of everything."""
    certificate, key = directory / "tls.crt", directory / "tls.key"
    if not certificate.exists():
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        command = [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
        subprocess.run(command, check=True, capture_output=True)
    return certificate.read_bytes(), key.read_bytes()


class Mounted:
    """What a container of a pod sees."""

    def __init__(self, root, things, spec, container):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        certificate, key = make_certificate(root.parent)
        volumes = {each["name"]: each for each in spec["volumes"]}
        moves = {}
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            here = root / mount["name"]
            here.mkdir(exist_ok=True)
            moves[mount["mountPath"]] = str(here)
            items = [item["path"] for source in volume.get("projected", {}).get("sources", []) for item in source["secret"]["items"]]
            if mount["name"] == "migration":
                items = [item["path"] for item in volume["secret"]["items"]]
            for item in items:
                path = here / item
                path.parent.mkdir(exist_ok=True)
                what = f"migration/{item}" if mount["name"] == "migration" else item
                default = certificate if item.endswith(".crt") else key
                if what.startswith("master/"):
                    default = base64.b64encode(hashlib.sha256(what.encode()).digest())
                path.write_bytes(CONTENT.get(what, default) + b"\n")

        def moved(text):
            for old, new in moves.items():
                text = text.replace(old, new)
            return text

        self.file = root / "config" / "guardian-auth.toml"
        self.file.write_text(moved(chart.configuration(things)))
        self.environment = {each["name"]: moved(each["value"]) for each in container.get("env", []) if "value" in each}

    def run(self, *args, **options):
        """Runs the binary with this configuration."""
        command = [BINARY, "--config", str(self.file), *args]
        environment = {"PATH": os.environ["PATH"], **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)

    def start(self, *args, log):
        """Starts the binary with this configuration."""
        command = [BINARY, "--config", str(self.file), *args]
        environment = {"PATH": os.environ["PATH"], **self.environment}
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def containers(things, root):
    """Each container that reads the configuration, as (name, Mounted)."""
    for owner, spec in chart.pods(things):
        for container in spec["containers"] + spec.get("initContainers", []):
            if "--config" in container.get("args", []):
                name = f"{owner}/{container['name']}".replace("/", "-")
                yield name, Mounted(pathlib.Path(root) / name, things, spec, container)
