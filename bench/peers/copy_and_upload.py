"""What takes least: `psql \\copy … to` a file, and the file uploaded by boto3. CSV, and no word of what it is."""

import os
import subprocess

import inbox


def main():
    path = os.path.join(os.environ["BENCH_FOLDER"], "departures.csv")
    names = ", ".join(inbox.COLUMNS)
    copy = f"\\copy (SELECT {names} FROM {os.environ['BENCH_FROM']}) to '{path}' (format csv)"
    psql = [os.environ["BENCH_PSQL"], "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", os.environ["BENCH_SOURCE"]]
    subprocess.run([*psql, "--command", copy], check=True)
    with open(path, "rb") as file:
        inbox.client().put_object(Bucket=inbox.BUCKET, Key="inbox/jfk/departures/departures.json.csv", Body=file)


main()
