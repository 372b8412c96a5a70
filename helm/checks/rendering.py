"""Renders every value set twice, and holds every object of every one of them to what must always be so."""

import pathlib
import re
import shutil
import subprocess
import sys

import yaml

import chart

failures = []
held = 0


def hold(condition, what):
    """Counts an assertion."""
    global held
    held += 1
    if not condition:
        failures.append(what)


def unique(values):
    values = list(values)
    return len(values) == len(set(values))


def hold_container(where, container):
    security = container.get("securityContext", {})
    hold(security.get("allowPrivilegeEscalation") is False, f"{where}: may gain privileges")
    hold(security.get("readOnlyRootFilesystem") is True, f"{where}: root file system can be written")
    hold(security.get("capabilities") == {"drop": ["ALL"]}, f"{where}: keeps capabilities")
    hold(security.get("privileged") is False, f"{where}: may be privileged")
    hold("runAsUser" not in security and "runAsNonRoot" not in security, f"{where}: overrides the pod's user")
    hold("memory" in container["resources"]["limits"], f"{where}: has no memory limit")
    hold("command" not in container, f"{where}: replaces the entry point")
    variables = [each["name"] for each in container.get("env", [])]
    hold(unique(variables), f"{where}: a variable twice")
    hold(all("valueFrom" not in each for each in container.get("env", [])), f"{where}: a secret in a variable")
    hold(not container.get("envFrom"), f"{where}: secrets in variables")
    ports = container.get("ports", [])
    hold(unique(each["name"] for each in ports), f"{where}: a port name twice")
    hold(unique(each["containerPort"] for each in ports), f"{where}: a port twice")
    mounts = container.get("volumeMounts", [])
    hold(unique(each["mountPath"] for each in mounts), f"{where}: a mount path twice")
    for mount in mounts:
        writable = mount["name"] == "data"
        hold(writable or mount.get("readOnly") is True, f"{where}: {mount['name']} can be written")


def hold_pod(where, spec, openshift):
    security = spec["securityContext"]
    hold(security.get("runAsNonRoot") is True, f"{where}: may run as root")
    hold(openshift or security.get("runAsUser") == 65532, f"{where}: another user than the image's")
    hold(security.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{where}: no seccomp profile")
    hold(spec.get("automountServiceAccountToken") is False, f"{where}: has a token")
    hold(not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), f"{where}: shares the host's")
    volumes = {each["name"]: each for each in spec.get("volumes", [])}
    hold(unique(each["name"] for each in spec.get("volumes", [])), f"{where}: a volume name twice")
    allowed = {"configMap", "secret", "projected", "persistentVolumeClaim", "emptyDir"}
    for name, volume in volumes.items():
        hold(set(volume) - {"name"} <= allowed, f"{where}: volume {name} is not of the restricted standard")
    containers = spec["containers"] + spec.get("initContainers", [])
    mounted = {mount["name"] for each in containers for mount in each.get("volumeMounts", [])}
    hold(mounted == set(volumes), f"{where}: volumes and mounts differ: {mounted ^ set(volumes)}")
    for container in containers:
        hold_container(f"{where}/{container['name']}", container)
    for container in spec["containers"]:
        hold(
            not any(mount["name"] == "migration" for mount in container.get("volumeMounts", []))
            or container["name"] == "migrate",
            f"{where}/{container['name']}: holds the credential of the migration",
        )


def hold_files(where, things):
    """Each path in the configuration is mounted, and each mounted secret is in the configuration or the environment."""
    text = chart.configuration(things)
    named = set(re.findall(r'"(/etc/guardian-auth/secrets/[^"]+)"', text))
    for name, spec in chart.pods(things):
        volume = next((each for each in spec.get("volumes", []) if each["name"] == "secrets"), None)
        if not volume:
            continue
        paths = [
            f"/etc/guardian-auth/secrets/{item['path']}"
            for source in volume["projected"]["sources"]
            for item in source["secret"]["items"]
        ]
        hold(unique(paths), f"{where}: {name}: a path twice")
        variables = {
            each["value"] for container in spec["containers"] for each in container.get("env", []) if "value" in each
        }
        # The authorities of the database are named in its URL, which is a secret.
        used = named | variables | {"/etc/guardian-auth/secrets/database/ca.crt"}
        hold(named <= set(paths), f"{where}: {name}: not mounted: {named - set(paths)}")
        hold(set(paths) <= used, f"{where}: {name}: mounted for nothing: {set(paths) - used}")


def hold_selectors(where, things):
    """Services, budgets and policies select pods that there are."""
    labels = [
        (each["spec"]["template"]["metadata"]["labels"] if each["kind"] in ("Deployment", "Job") else each["metadata"]["labels"])
        for each in things
        if each["kind"] in ("Deployment", "Job", "Pod")
    ]
    for each in things:
        name = f"{where}: {each['kind']}/{each['metadata']['name']}"
        selector = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
        }.get(each["kind"])
        if selector:
            wanted = selector(each["spec"]).items()
            hold(any(wanted <= have.items() for have in labels), f"{name}: selects nothing")
            hold("helm.sh/chart" not in dict(wanted), f"{name}: selects by version")


def hold_objects(where, things, text, rules):
    hold("{{" not in re.sub(r"(?m)^.*(legendFormat|summary).*$", "", text), f"{where}: a template is left")
    hold(unique((each["kind"], each["metadata"]["name"]) for each in things), f"{where}: an object twice")
    kinds = {each["kind"] for each in things}
    hold(not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}, f"{where}: has rights")
    hold(not kinds & {"Secret"}, f"{where}: renders a Secret")
    for each in things:
        name = f"{where}: {each['kind']}/{each['metadata']['name']}"
        metadata = each["metadata"]
        hold(metadata.get("namespace") == "portal", f"{name}: no namespace")
        hold(len(metadata["name"]) <= 63, f"{name}: name too long")
        hooks = [key for key in metadata.get("annotations") or {} if key.startswith("helm.sh/hook")]
        hold(not hooks or metadata["name"].endswith("-test"), f"{name}: is a hook")
        if "labels" in metadata:
            good = all(len(value) <= 63 for value in metadata["labels"].values())
            hold(good, f"{name}: a label is too long")
        if each["kind"] == "NetworkPolicy":
            hold(each["spec"]["policyTypes"] == ["Ingress", "Egress"], f"{name}: closes one way only")
            for direction, peers in (("ingress", "from"), ("egress", "to")):
                for rule in each["spec"].get(direction, []):
                    hold(rule.get(peers), f"{name}: {direction} of everybody")
                    hold(rule.get("ports"), f"{name}: {direction} at every port")
        if each["kind"] == "Deployment":
            spec = each["spec"]["template"]["spec"]
            server = spec["containers"][0]
            drain = int(re.search(r'drain_timeout = "(\d+)s"', chart.configuration(things))[1])
            sleep = server["lifecycle"]["preStop"]["sleep"]["seconds"]
            grace = spec["terminationGracePeriodSeconds"]
            hold(sleep + drain + 5 < grace, f"{name}: the grace period is too short")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                ops = next(port["containerPort"] for port in server["ports"] if port["name"] == "ops")
                hold(server[probe]["grpc"]["port"] == ops, f"{name}: {probe} asks elsewhere")
    rules(where, things)


def checksum(things):
    deployment = next(each for each in things if each["kind"] == "Deployment")
    return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]


def hold_names_of_jobs(scratch):
    """A Job cannot be changed: another one has another name, and the same one the same."""
    job = chart.CHART / "ci" / "migrations-job-values.yaml"
    other = scratch / "other.yaml"
    names = []
    for change in ({}, {"replicaCount": 2}, {"image": {"tag": "other"}}, {"config": {"log": {"level": "debug"}}}):
        other.write_text(yaml.safe_dump(change))
        things = chart.objects(chart.render([chart.BASE, job, other]))
        names.append(next(each["metadata"]["name"] for each in things if each["kind"] == "Job"))
    hold(names[0] == names[1], "the same job has two names")
    hold(unique(names[1:]), "different jobs have one name")
    other.unlink()


def hold_notes(name, files):
    """What Helm tells after an installation, without a cluster."""
    command = [chart.HELM, "install", "rel", str(chart.CHART), "--namespace", "portal", "--dry-run=client"]
    for path in files:
        command += ["--values", str(path)]
    notes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\nNOTES:\n")[2]
    hold("helm test rel --namespace portal" in notes, f"{name}: the notes do not tell the next step")
    hold(("SQLite" in notes) == (name == "sqlite"), f"{name}: the notes do not warn of SQLite, or without need")


def hold_as_part_of_another(scratch):
    """A closed schema must let a parent chart use this one."""
    parent = scratch / "parent"
    shutil.rmtree(parent, ignore_errors=True)
    shutil.copytree(chart.CHART, parent / "charts" / "guardian-auth")
    dependency = {"name": "guardian-auth", "version": "0.1.0", "condition": "guardian-auth.enabled"}
    (parent / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "parent", "version": "0.1.0", "dependencies": [dependency]})
    )
    values = yaml.safe_load(chart.BASE.read_text())
    for enabled in (True, False):
        everything = {"global": {"of": "the parent"}, "guardian-auth": {**values, "enabled": enabled}}
        (parent / "values.yaml").write_text(yaml.safe_dump(everything))
        done = subprocess.run([chart.HELM, "template", "rel", str(parent)], capture_output=True, text=True, check=False)
        hold(done.returncode == 0, f"as part of another chart: {done.stderr}")
        hold(("kind: Deployment" in done.stdout) == enabled, "as part of another chart: the condition does nothing")


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    sets = chart.value_sets()
    rendered = {}
    for name, files in sets.items():
        text, again = chart.render(files), chart.render(files)
        hold(text == again, f"{name}: two renderings differ")
        (out / f"{name}.yaml").write_text(text)
        rendered[name] = chart.objects(text)
        for where, spec in chart.pods(rendered[name]):
            hold_pod(f"{name}: {where}", spec, name == "openshift")
        hold_objects(name, rendered[name], text, hold_selectors)
        hold_files(name, rendered[name])
        hold_notes(name, files)
    hold(checksum(rendered["minimal"]) == checksum(rendered["migrations-none"]), "the checksum changes without need")
    hold(checksum(rendered["minimal"]) != checksum(rendered["mtls-callers"]), "the checksum does not change")
    hold_names_of_jobs(out)
    hold_as_part_of_another(out)
    # The longest name that Helm takes.
    long = chart.objects(chart.render(sets["production"], release="r" * 53))
    for each in long:
        hold(len(each["metadata"]["name"]) <= 63, f"{each['metadata']['name']}: too long")
    for path in (chart.CHART / "templates").rglob("*"):
        if path.is_file():
            found = re.search(r"\b(rand\w+|lookup|genCA|genSelfSigned\w+|uuidv4|now)\b\s", re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}|(?m:^\s*#.*$)", "", path.read_text(), flags=re.S))
            hold(path.suffix == ".txt" or not found, f"{path.name}: {found and found[0]} makes renderings differ")
    for failure in failures:
        print(f"- {failure}")
    documents = sum(len(things) for things in rendered.values())
    print(f"{len(sets)} value sets rendered twice, {documents} objects, {held} assertions, {len(failures)} failed")
    raise SystemExit(1 if failures or len(sets) < 12 else 0)


main()
