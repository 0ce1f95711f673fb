"""Compares the names in deploy/ with the program: metrics, labels, variables and alerts.

usage: names.py METRICS-PAGE HELP-PAGE EXPRESSIONS

METRICS-PAGE is a scrape of a real server, and HELP-PAGE the output of `keywright --help` and
`keywright serve --help`. Writes the expressions of the dashboard as Prometheus rules to the file EXPRESSIONS, for
promtool.
"""

import json
import re
import sys
from pathlib import Path

import yaml

DEPLOY = Path("deploy")
# Labels that Prometheus or the traffic sets.
FREE_LABELS = {"job", "instance", "le", "method", "status", "alertstate"}


def expressions():
    """Yields (source, expression) for each expression of the dashboard and the rules."""
    dashboard = json.loads((DEPLOY / "monitoring/dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"dashboard, {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if isinstance(variable["query"], dict):
            metric = re.search(r"\((.*), \w+\)$", variable["query"]["query"])[1]
            yield f"dashboard, {variable['name']}", metric
    for group in yaml.safe_load((DEPLOY / "monitoring/rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for test in yaml.safe_load((DEPLOY / "monitoring/rules_test.yml").read_text())["tests"]:
        for series in test["input_series"]:
            yield f"test, {test['name']}", series["series"]


def page_series(page):
    """Returns the names of the series on a metrics page, each with the values of its labels."""
    series = {}
    for line in page.splitlines():
        if found := re.match(r"(\w+)(?:\{(.*)\})? \S+$", line):
            labels = series.setdefault(found[1], {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', found[2] or ""):
                labels.setdefault(label, set()).add(value)
    return series


def check_metrics(page):
    series = page_series(page)
    # A recording rule has the labels of its metrics.
    all_labels = {}
    for labels in series.values():
        for label, values in labels.items():
            all_labels.setdefault(label, set()).update(values)
    for source, _ in expressions():
        if source.startswith("keywright:"):
            series[source] = all_labels
    checked = 0
    for source, expression in expressions():
        for name, labels in re.findall(r"(?<!\w)(keywright[_:][\w:]+)(?:\{([^}]*)\})?", expression):
            checked += 1
            if name not in series:
                yield f"{source}: the server has no metric {name}"
                continue
            for label, value in re.findall(r'(\w+)\s*[!=~]+\s*"([^"]*)"', labels):
                known = series[name].get(label, set())
                if label not in FREE_LABELS and not known.issuperset(value.split("|")):
                    yield f"{source}: {name} has no {label} {value}, only {sorted(known)}"
    if not checked:
        yield "no expression names a metric"


def check_alerts():
    rules = yaml.safe_load((DEPLOY / "monitoring/rules.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    tests = yaml.safe_load((DEPLOY / "monitoring/rules_test.yml").read_text())["tests"]
    firing = {
        case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]
    }
    rows = set(re.findall(r"^\| `(Keywright\w+)` \|", (DEPLOY / "README.md").read_text(), re.MULTILINE))
    for alert in sorted(alerts | rows | firing):
        for place, names in (("rules.yml", alerts), ("README.md", rows), ("rules_test.yml", firing)):
            if alert not in names:
                yield f"{alert} is missing in {place}"


def check_variables(help_page):
    known = set(re.findall(r"\[env: (KEYWRIGHT_\w+)", help_page))
    known |= {"KEYWRIGHT_COPY_FROM", "KEYWRIGHT_COPY_TO"}
    for path in sorted(DEPLOY.rglob("*")):
        # A comment may name the variables that Kubernetes would set.
        text = re.sub(r"KEYWRIGHT_PORT", "", path.read_text()) if path.is_file() else ""
        if path.name == "keywright-operator":
            text = re.sub(r"KEYWRIGHT_(?:ETC|PROGRAM)", "", text)
        for name in sorted(set(re.findall(r"KEYWRIGHT_[A-Z_]+", text)) - known):
            yield f"{path}: the program has no variable {name}"


def main():
    page, help_page, target = map(Path, sys.argv[1:])
    findings = [
        *check_metrics(page.read_text()),
        *check_alerts(),
        *check_variables(help_page.read_text()),
    ]
    variables = {"$__rate_interval": "1m", "$job": "keywright", "$instance": ".*"}
    rules = []
    for source, expression in expressions():
        if source.startswith("dashboard"):
            for name, value in variables.items():
                expression = expression.replace(name, value)
            rules.append({"record": f"dashboard:{len(rules)}", "expr": expression})
    target.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


sys.exit(main())
