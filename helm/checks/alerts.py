"""Writes the rules of a rendering for promtool, and holds alerts to the rows and headings of docs/operations.md."""

import json
import pathlib
import re
import sys

import yaml

import chart


def anchors(page):
    heads = re.findall(r"^#+ (.*)$", page, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def main():
    rendered, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    rule = next(each for each in chart.objects(rendered.read_text()) if each["kind"] == "PrometheusRule")
    groups = rule["spec"]["groups"]
    dashboard = json.loads((chart.CHART / "files" / "dashboard.json").read_text())
    # Expressions of the dashboard are checked as if they were recorded.
    variables = (("$__rate_interval", "5m"), ("$namespace", "portal"), ("$job", "login"))
    recorded = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in variables:
                expression = expression.replace(name, value)
            recorded.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": expression})
    (out / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (out / "dashboard.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    (out / "alerts_test.yaml").write_text((chart.CHECKS / "alerts_test.yaml").read_text())

    page = (chart.ROOT / "docs" / "operations.md").read_text()
    table = re.search(r"### Worth an alert\n.*?\n\|---\|---\|\n(.*?)\n\n", page, re.S)[1]
    rows = [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in table.splitlines()]
    alerts = [alert for group in groups for alert in group["rules"]]
    faults = []
    for row in rows:
        # Metrics, and the values of labels: reason="X", or "X" alone.
        words = [re.search(r'"?(\w+)"?$', word)[1] for word in row if not word.startswith("workers.")]
        if not any(all(word in alert["expr"] for word in words) for alert in alerts):
            faults.append(f"no alert for the row with {words}")
    if len(rows) != len(alerts):
        faults.append(f"{len(rows)} rows, {len(alerts)} alerts")
    for alert in alerts:
        heading = alert["annotations"]["runbook_url"].partition("#")[2]
        if heading not in anchors(page):
            faults.append(f"{alert['alert']}: no heading {heading} in docs/operations.md")
        if not alert["annotations"].get("summary") or not alert["labels"].get("severity"):
            faults.append(f"{alert['alert']}: no summary or severity")
    for fault in faults:
        print(f"- {fault}")
    print(f"{len(alerts)} alerts for {len(rows)} rows, {len(recorded)} expressions of the dashboard, {len(faults)} faults")
    raise SystemExit(1 if faults else 0)


main()
