"""Sling's program, and how it is told where the bucket is."""

import importlib.resources
import json
import os
import subprocess

import inbox

PROGRAM = importlib.resources.files("sling_linux_amd64") / "bin/sling-linux-amd64"


def bucket():
    return {
        "type": "s3",
        "bucket": inbox.BUCKET,
        "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "endpoint": inbox.ENDPOINT,
        "region": os.environ["AWS_REGION"],
    }


def run(*arguments, **connections):
    environment = {
        **os.environ,
        **connections,
        "INBOX": json.dumps(bucket()),
        "SLING_HOME_DIR": os.environ["BENCH_FOLDER"],
    }
    subprocess.run([PROGRAM, *arguments], env=environment, check=True)
