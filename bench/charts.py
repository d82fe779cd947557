"""Draws the charts of a run of the bench: charts.py figures.json FOLDER."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TITLES = {
    "nightdrop": "Nightdrop",
    "threaded": "threaded script, messages",
    "threaded-lines": "threaded script, NDJSON",
    "plain": "plain script",
    "duckdb": "DuckDB",
    "sling": "Sling",
    "dlt": "dlt",
    "copy": "psql \\copy (limit)",
}
OURS, PEERS, LIMIT = "#0b5fa5", "#9aa5b1", "#c0392b"

plt.rcParams.update({
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white", "font.size": 11,
    "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "nightdrop",
    "svg.fonttype": "none",
})  # fmt: skip


def save(figure, folder, name):
    figure.tight_layout()
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", dpi=144)
    plt.close(figure)


def net(samples, work, contender):
    """Each run's seconds, less the median of start-up."""
    mine = [sample for sample in samples if sample["contender"] == contender]
    same_kind = [s for s in mine if s["empty"] and (s["work"] == work if work.startswith("P") else s["work"][0] != "P")]
    start_up = statistics.median([sample["seconds"] for sample in same_kind] or [0])
    return [max(s["seconds"] - start_up, 0.001) for s in mine if s["work"] == work and not s["empty"]]


def bars(axes, rows, unit="s"):
    """rows: (title, figures, colour), the first on top."""
    rows = rows[::-1]
    for place, (title, figures, colour) in enumerate(rows):
        middle = statistics.median(figures)
        spread = [[middle - min(figures)], [max(figures) - middle]]
        axes.barh(place, middle, xerr=spread, color=colour, ecolor="#444", capsize=3, height=0.65)
        digits = 0 if unit == "MiB" else 2 if middle < 10 else 1
        label = f"{middle:.{digits}f} {unit}"
        axes.annotate(label, (max(figures), place), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(rows)), [title for title, _, _ in rows])
    axes.margins(x=0.18)
    axes.set_xlim(left=0)


def colour(contender):
    return {"nightdrop": OURS, "copy": LIMIT}.get(contender, PEERS)


def load(data, folder, work, title):
    rows = []
    limit = data["limits"].get(work)
    if limit:
        figures = [run["list"] + run["get"] + run["delete"] for run in limit["runs"]]
        rows.append(("raw LIST + GET + DELETE (limit)", figures, LIMIT))
    memory = []
    for contender in ["copy", *[name for name in TITLES if name != "copy"]]:
        figures = net(data["samples"], work, contender)
        if figures:
            rows.append((TITLES[contender], figures, colour(contender)))
        peaks = [s["peak"] / 2**20 for s in data["samples"] if (s["work"], s["contender"], s["empty"]) == (work, contender, False)]
        if peaks and contender != "copy":
            memory.append((TITLES[contender], peaks, colour(contender)))
    if not rows:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 0.5 * len(rows) + 1.6), width_ratios=[3, 2])
    bars(left, rows)
    left.set_title(f"{work}: {title}", loc="left", fontsize=11)
    left.set_xlabel("seconds, start-up taken off: median, least and most")
    bars(right, memory, "MiB")
    right.set_title("peak memory", loc="left", fontsize=11)
    right.set_xlabel("MiB")
    save(figure, folder, work)


def extract(data, folder, title):
    titles = {"postgres": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
    sources = [source for source in titles if any(sample["work"] == f"P, {source}" for sample in data["samples"])]
    figure, all_axes = plt.subplots(1, len(sources), figsize=(5 * len(sources), 3.4), squeeze=False)
    for axes, source in zip(all_axes[0], sources):
        rows = []
        for contender in ["copy", "nightdrop", "sling", "dlt"]:
            figures = net(data["samples"], f"P, {source}", contender)
            if figures:
                name = "\\copy + upload (limit)" if contender == "copy" else TITLES[contender]
                rows.append((name, figures, colour(contender)))
        bars(axes, rows)
        axes.set_title(f"from {titles[source]}", loc="left", fontsize=11)
        axes.set_xlabel("seconds, start-up taken off")
    figure.suptitle(f"P: {title}", x=0.01, ha="left", fontsize=11)
    save(figure, folder, "P")


def latency(data, folder):
    figures = data["latency"]
    figure, axes = plt.subplots(figsize=(8, 4))
    lines = [("idle", figures["idle"], OURS)]
    for load, shade in zip(figures["loaded"], ["#f3cf8f", "#e8b04b", "#e08e0b", "#a35c00"]):
        lines.append((f"under {load['reached']:.0f} results/s (asked for: {load['rate']:.0f})", load["took"], shade))
    for label, waits, shade in lines:
        axes.step(waits, [(place + 1) / len(waits) * 100 for place in range(len(waits))], where="post", label=label, color=shade)
    axes.axvline(figures["poll_max"], color=LIMIT, linewidth=1, linestyle="--", label="poll.max")
    axes.set_xlabel("seconds from the PUT's answer to the row")
    axes.set_ylabel("% of results")
    axes.set_ylim(0, 101)
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc="lower right")
    save(figure, folder, "latency")


def claims(data, folder):
    points = data["growth"]["claims"]
    figure, axes = plt.subplots(figsize=(8, 3.6))
    sizes = [point["waiting"] for point in points]
    axes.plot(sizes, [point["median"] * 1000 for point in points], "o-", color=OURS, label="median")
    axes.plot(sizes, [point["slowest"] * 1000 for point in points], "o--", color=PEERS, label="slowest")
    axes.axhline(20, color=LIMIT, linewidth=1, linestyle="--", label="20 ms")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("files that wait")
    axes.set_ylabel("a claim, in ms")
    axes.legend(frameon=False)
    save(figure, folder, "claims")


def main():
    data = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])
    for work, title in data["works"]:
        if work == "P":
            extract(data, folder, title)
        else:
            load(data, folder, work, title)
    if data["latency"]:
        latency(data, folder)
    if data["growth"]:
        claims(data, folder)


main()
