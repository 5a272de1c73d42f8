#!/usr/bin/env python3
"""Says which metrics of a dashboard do not exist.

    python3 deploy/grafana/check.py http://127.0.0.1:7700/metrics http://127.0.0.1:8700/metrics

Give the pages of a node and of a gateway: together they have all that the dashboard shows. `--dashboard FILE` names another dashboard. A name must be
declared on a page; a value of the label `what` must be there if its metric has any value yet, and is reported as not
seen otherwise. The exit code is 1 if something is missing. Needs nothing but Python 3.
"""

import argparse
import json
import pathlib
import re
import sys
import urllib.request

NAME = re.compile(r"\bfreeway_[a-z0-9_]+")
SELECTED = re.compile(r"(freeway_[a-z0-9_]+)\{([^}]*)\}")
WHAT = re.compile(r'what=~?"([^"]*)"')
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
# Families whose values come one by one, as things happen.
GROWING = {"freeway_lanes_total", "freeway_lane_fees_nfwy_total"}
MAX_BYTES = 16 << 20


def expressions(node):
    """All queries in a dashboard, panels in rows and variables included."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query", "definition") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for item in node:
            yield from expressions(item)


def page(url):
    """Names that a page declares, and the values of `what` that it has, by name."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read(MAX_BYTES).decode()
    names, values = set(), {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names.update(name + suffix for suffix in SUFFIXES.get(kind, [""]))
        elif (found := SELECTED.match(line)) and (what := WHAT.search(found[2])):
            values.setdefault(found[1], set()).add(what[1])
    return names, values


def main():
    parser = argparse.ArgumentParser(description="Says which metrics of a dashboard do not exist.")
    parser.add_argument("urls", nargs="+", metavar="URL", help="a page of metrics")
    default = pathlib.Path(__file__).with_name("freeway.json")
    parser.add_argument("--dashboard", type=pathlib.Path, default=default, metavar="FILE")
    arguments = parser.parse_args()

    queries = list(expressions(json.loads(arguments.dashboard.read_text())))
    names, values = set(), {}
    for url in arguments.urls:
        declared, seen = page(url)
        names |= declared
        for name, found in seen.items():
            values.setdefault(name, set()).update(found)

    used = {name for query in queries for name in NAME.findall(query)}
    missing = [f"no metric {name}" for name in sorted(used - names)]
    unseen = []
    asked = {(name, what) for query in queries for name, labels in SELECTED.findall(query)
             for found in WHAT.findall(labels) for what in found.split("|")}
    for name, what in sorted(asked):
        if name in used & names and what not in values.get(name, ()):
            fixed = name in values and name not in GROWING
            (missing if fixed else unseen).append(f'no value {name}{{what="{what}"}}')

    for line in missing:
        print(line)
    for line in unseen:
        print(f"not seen yet: {line}")
    print(f"{len(used)} metrics in {len(queries)} queries, {len(missing)} missing")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
