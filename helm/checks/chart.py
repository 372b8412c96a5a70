"""The chart's value sets, and what Helm makes of them."""

import os
import pathlib
import subprocess

import yaml

CHECKS = pathlib.Path(__file__).resolve().parent
ROOT = CHECKS.parent.parent
CHART = ROOT / "helm" / "guardian-auth"
BASE = CHART / "ci" / "minimal-values.yaml"
# Whole files; all others are laid over the minimal one.
WHOLE = {"minimal", "production", "sqlite"}
HELM = os.environ.get("HELM", "helm")


def value_sets():
    """Names of the value sets with the files of each, in the order in which Helm takes them."""
    sets = {}
    for path in sorted((CHART / "ci").glob("*-values.yaml")):
        name = path.name.removesuffix("-values.yaml")
        sets[name] = [path] if name in WHOLE else [BASE, path]
    return sets


def helm_template(files, release="rel", namespace="portal"):
    """Renders; the finished process, whose output is bytes."""
    command = [HELM, "template", release, str(CHART), "--namespace", namespace, "--kube-version", "1.33.0"]
    for path in files:
        command += ["--values", str(path)]
    return subprocess.run(command, capture_output=True, check=False)


def render(files, **options):
    """What Helm renders, as text; ends the check with Helm's message if it does not."""
    done = helm_template(files, **options)
    if done.returncode:
        raise SystemExit(f"{[path.name for path in files]}: {done.stderr.decode()}")
    return done.stdout.decode()


def objects(text):
    """The objects of a rendering."""
    return [each for each in yaml.safe_load_all(text) if each]


def configuration(things):
    """The text of the configuration file."""
    return next(
        each["data"]["guardian-auth.toml"] for each in things if "guardian-auth.toml" in (each.get("data") or {})
    )


def pods(things):
    """Pod specs with the name of what they belong to."""
    for each in things:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each["spec"]
        elif each["kind"] in ("Deployment", "Job"):
            yield name, each["spec"]["template"]["spec"]
