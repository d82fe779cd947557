"""Sling: one replication of all the objects into the table; the script around it lists and deletes."""

import importlib.resources
import json
import os
import subprocess

import inbox

TYPES = {
    "bool": "bool", "int64": "bigint", "decimal": "decimal", "float64": "float", "string": "text", "date": "date",
    "timestamp": "timestamp", "timestamptz": "timestampz", "uuid": "uuid", "json": "json",
}  # fmt: skip


def main():
    s3 = inbox.client()
    keys = inbox.keys(s3)
    connections = {
        "INBOX": json.dumps({
            "type": "s3",
            "bucket": inbox.BUCKET,
            "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            "endpoint": inbox.ENDPOINT,
            "region": os.environ["AWS_REGION"],
        }),
        "REPORTS": inbox.POSTGRES + "?sslmode=disable",
    }
    replication = {
        "source": "INBOX",
        "target": "REPORTS",
        "streams": {
            "inbox/**": {
                "object": f"{inbox.SCHEMA}.{inbox.TABLE}",
                "mode": "snapshot",
                "single": True,
                "source_options": {"format": "jsonlines", "flatten": True},
                "columns": {name: TYPES[ty] for name, ty in inbox.COLUMNS.items()},
            }
        },
    }
    sling = importlib.resources.files("sling_linux_amd64") / "bin/sling-linux-amd64"
    environment = {**os.environ, **connections, "SLING_HOME_DIR": os.environ["BENCH_FOLDER"]}
    if keys:
        subprocess.run([sling, "run", "-r", json.dumps(replication)], env=environment, check=True)
    else:
        subprocess.run([sling, "--version"], env=environment, check=True)
    inbox.delete(s3, keys)


main()
