#!/usr/bin/env bash
# Checks and tests the alert rules, and that Prometheus understands every query of the dashboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

promtool check rules nightdrop.rules.yaml
promtool test rules nightdrop.test.yaml

queries=$(mktemp --suffix .yaml)
trap 'rm -f "$queries"' EXIT
python3 - ../grafana/nightdrop.json > "$queries" << 'END'
import json, sys

panels = json.load(open(sys.argv[1]))["panels"]
queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
assert queries
print("groups: [{name: dashboard, rules: [")
for number, query in enumerate(queries):
    query = query.replace("$__rate_interval", "5m").replace("$producer", "jfk")
    print(f"  {{record: dashboard_{number}, expr: {json.dumps(query)}}},")
print("]}]")
END
promtool check rules "$queries"
