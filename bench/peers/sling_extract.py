"""Sling: one replication of the table into the bucket, as JSON lines."""

import json
import os

import inbox
import sling_program


def source():
    url = os.environ["BENCH_SOURCE"]
    return url + "?sslmode=disable" if url.startswith("postgres://") else url


def main():
    names = ", ".join(inbox.COLUMNS)
    replication = {
        "source": "SOURCE",
        "target": "INBOX",
        "streams": {
            "departures": {
                "sql": f"SELECT {names} FROM {os.environ['BENCH_FROM']}",
                "object": "inbox/jfk/departures/departures.jsonl",
                "mode": "full-refresh",
                "target_options": {"format": "jsonlines", "file_max_rows": 0},
            }
        },
    }
    sling_program.run("run", "-r", json.dumps(replication), SOURCE=source(), SLING_ALLOW_EMPTY="true")


main()
