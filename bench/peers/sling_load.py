"""Sling: one replication of all the objects into the table; the script around it lists and deletes."""

import json

import inbox
import sling_program

TYPES = {
    "bool": "bool", "int64": "bigint", "decimal": "decimal", "float64": "float", "string": "text", "date": "date",
    "timestamp": "timestamp", "timestamptz": "timestampz", "uuid": "uuid", "json": "json",
}  # fmt: skip


def main():
    s3 = inbox.client()
    keys = inbox.keys(s3)
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
    arguments = ["run", "-r", json.dumps(replication)] if keys else ["--version"]
    sling_program.run(*arguments, REPORTS=inbox.POSTGRES + "?sslmode=disable")
    inbox.delete(s3, keys)


main()
