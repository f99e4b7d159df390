"""What Prometheus is asked by the dashboard and the rules.

queries.py rules     the dashboard's queries as recording rules, for `promtool check rules`
queries.py metrics   the names of the metrics that both ask for, as a JSON list
queries.py missing   of those, the ones that are not in the page of /metrics on standard input; 1 if there are any
"""

import json
import pathlib
import re
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
DASHBOARD = DEPLOY / "grafana" / "ssync.json"
RULES = DEPLOY / "prometheus" / "ssync.rules.yaml"
# Prometheus makes it of each scrape.
OWN = {"up"}
OPERATORS = {"and", "or", "unless", "bool"}


def panels():
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def alerts():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def names(expression):
    """Every word that is no function, keyword, label or number."""
    rest = re.sub(r'"[^"]*"', "", expression)
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", rest)
    rest = re.sub(r"\boffset\s+-?(\d+[a-z]+)+", "", rest)
    rest = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", rest)
    for word in re.finditer(r"[A-Za-z_:][A-Za-z0-9_:]*", rest):
        called = rest[word.end():].lstrip().startswith("(")
        aggregated = word.group() in {"sum", "count", "max", "min", "avg"}
        if not called and not aggregated and word.group() not in OPERATORS | OWN:
            yield word.group()


def metrics():
    asked = [*panels(), *alerts()]
    # Variables of the dashboard are filled from metrics, too.
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        asked += re.findall(r"label_values\((.*),", variable.get("definition", ""))
    return sorted({name for expression in asked for name in names(expression)})


def rules():
    recorded = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(panels())
    ]
    return yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}, width=10000)


def missing():
    page = sys.stdin.read()
    # A histogram has no series of its bare name, and no TYPE of the others.
    there = {re.split(r"[{ ]", line)[0] for line in page.splitlines() if line and not line.startswith("#")}
    return [name for name in metrics() if name not in there]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["rules"]:
            print(rules(), end="")
        case ["metrics"]:
            print(json.dumps(metrics()))
        case ["missing"]:
            gone = missing()
            print("\n".join(gone), end="\n" if gone else "")
            sys.exit(1 if gone else 0)
        case _:
            sys.exit(__doc__)
