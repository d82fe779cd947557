"""Sling: one replication of the table into the bucket, as JSON lines."""

import importlib.resources
import json
import os
import subprocess

import inbox


def source():
    url = os.environ["BENCH_SOURCE"]
    return url + "?sslmode=disable" if url.startswith("postgres://") else url


def main():
    target = {
        "type": "s3",
        "bucket": inbox.BUCKET,
        "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "endpoint": inbox.ENDPOINT,
        "region": os.environ["AWS_REGION"],
    }
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
    environment = {
        **os.environ,
        "SOURCE": source(),
        "INBOX": json.dumps(target),
        "SLING_HOME_DIR": os.environ["BENCH_FOLDER"],
        "SLING_ALLOW_EMPTY": "true",
    }
    sling = importlib.resources.files("sling_linux_amd64") / "bin/sling-linux-amd64"
    subprocess.run([sling, "run", "-r", json.dumps(replication)], env=environment, check=True)


main()
