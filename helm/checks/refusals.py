"""Holds that each set of wrong values in refused.yaml is refused, with a message that says what to do."""

import concurrent.futures
import pathlib
import sys

import yaml

import chart


def refusal(scratch, number, case):
    """What is wrong with the refusal, or nothing."""
    path = scratch / f"{number}.yaml"
    path.write_text(yaml.safe_dump(case["values"]))
    done = chart.helm_template([path] if case.get("alone") else [chart.BASE, path])
    message = done.stderr.decode()
    if done.returncode == 0:
        return "was not refused"
    # The chart's own message names values; a broken template would name functions.
    if "must change" not in message and "don't meet the specifications of the schema" not in message:
        return f"is no readable message: {message}"
    missing = [words for words in case["says"] if words not in message]
    return f"does not say {missing}: {message}" if missing else None


def main():
    scratch = pathlib.Path(sys.argv[1])
    scratch.mkdir(parents=True, exist_ok=True)
    cases = yaml.safe_load((chart.CHECKS / "refused.yaml").read_text())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = list(pool.map(lambda pair: refusal(scratch, *pair), enumerate(cases)))
    for case, fault in zip(cases, wrong, strict=True):
        if fault:
            print(f"- {case['why']}: {fault}")
    failed = sum(fault is not None for fault in wrong)
    print(f"{len(cases)} sets of wrong values refused, {failed} failed")
    raise SystemExit(1 if failed or len(cases) < 20 else 0)


main()
