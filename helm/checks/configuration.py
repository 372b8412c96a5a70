"""Has the real binary check the configuration of every container of every value set."""

import concurrent.futures
import pathlib
import sys

import chart
import mounted

# `check` ends with 64 on a fault of the configuration, with 1 if only dependencies do not answer.
FAULT = 64


def main():
    scratch = pathlib.Path(sys.argv[1])
    parts = []
    for name, files in chart.value_sets().items():
        things = chart.objects(chart.render(files))
        parts += [(f"{name}: {where}", each) for where, each in mounted.containers(things, scratch / name)]
    # Each waits for dependencies that are away: all wait together.
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        checked = list(pool.map(lambda part: part[1].run("check", timeout=120), parts))
    failed = 0
    for (where, container), done in zip(parts, checked, strict=True):
        if done.returncode not in (0, 1) or not done.stdout.startswith("ok    configuration"):
            failed += 1
            print(f"- {where}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    # The check must be able to fail: a key that nobody knows, in the last configuration.
    container.file.write_text("unknown = 1\n" + container.file.read_text())
    if container.run("check", timeout=60).returncode != FAULT:
        failed += 1
        print("- an unknown key was not found")
    print(f"{len(parts)} configurations of containers read by the binary, {failed} failed")
    raise SystemExit(1 if failed else 0)


main()
