"""Keeps descriptions in values.schema.json equal to the comments of values.yaml; `--write` writes them.

Also holds that both have the same values, and that a template reads each.
"""

import json
import re
import sys

import yaml

import chart

# Read by Helm or by parent charts, not by templates.
NOT_READ = {"enabled", "global"}


def comments():
    """The `# --` comment of each value, by its path."""
    found, path, comment = {}, [], None
    for line in (chart.CHART / "values.yaml").read_text().splitlines():
        if match := re.match(r"\s*# -- (.*)", line):
            comment = match[1]
        elif match := re.match(r"( *)([A-Za-z]\w*):", line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if comment:
                found[".".join(path)] = comment
                comment = None
    return found


def leaves(values, path=""):
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        yield here
        if isinstance(value, dict):
            yield from leaves(value, here)


def main():
    file = chart.CHART / "values.schema.json"
    schema = json.loads(file.read_text())
    described = comments()
    faults = []

    def walk(node, path):
        for key, each in node.get("properties", {}).items():
            here = f"{path}.{key}" if path else key
            if here in described:
                node["properties"][key] = {"description": described.pop(here), **{k: v for k, v in each.items() if k != "description"}}
            elif "properties" not in each and "description" not in each and not here.startswith(("resources.", "podSecurityContext.")):
                faults.append(f"{here}: has no comment in values.yaml")
            walk(node["properties"][key], here)
        if node.get("properties") and node.get("additionalProperties") is not False and path not in ("config.hash", "podSecurityContext"):
            faults.append(f"{path or 'the root'}: is open")

    walk(schema, "")
    faults += [f"{path}: is not in values.schema.json" for path in described]
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    text = "".join(path.read_text() for path in (chart.CHART / "templates").rglob("*") if path.is_file())
    for path in leaves(values):
        # Written as a whole, by toYaml or as the configuration.
        whole = re.match(r"(resources|podSecurityContext|config|monitoring\.dashboard\.labels|.*issuerRef)\.", path)
        last = path.split(".")[-1]
        if path not in NOT_READ and not whole and not re.search(rf"\.{last}\b|\"{last}\"", text):
            faults.append(f"{path}: no template reads it")
    written = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if "--write" in sys.argv:
        file.write_text(written)
    elif written != file.read_text():
        faults.append("descriptions in values.schema.json are old: run `.ci/helm docs`")
    if "$ref\": \"http" in written:
        faults.append("values.schema.json refers to another machine")
    for fault in faults:
        print(f"- {fault}")
    print(f"{sum(1 for _ in leaves(values))} values described, {len(faults)} faults")
    raise SystemExit(1 if faults else 0)


main()
