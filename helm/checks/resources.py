"""Splits renderings: what Kubernetes knows into one file a set, custom resources into one JSON file."""

import json
import pathlib
import sys

import yaml

CUSTOM = ("gateway.networking.k8s.io", "external-secrets.io", "cert-manager.io", "monitoring.coreos.com")


def main():
    rendered, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    custom = []
    for path in sorted(rendered.glob("*.yaml")):
        known = []
        for each in filter(None, yaml.safe_load_all(path.read_text())):
            if each["apiVersion"].split("/")[0] in CUSTOM:
                custom.append({"set": path.stem, "object": each})
            else:
                known.append(each)
        (out / path.name).write_text(yaml.safe_dump_all(known))
    (out / "custom.json").write_text(json.dumps(custom))


main()
