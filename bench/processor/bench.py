"""How much input does one CPU-second turn into table rows, and how large are the tables?

CloudTrail JSON and flow logs made by `loggen` (seed 1) are read by `logq-processor once` and, in the same run, by
DuckDB and ClickHouse (chdb) with the same columns asked of them: zstd Parquet, sorted by time. CPU time is user +
system of the whole process; wall time is noise on a shared machine. What each engine wrote is counted.

The tables' size is compared with what DuckDB writes from our own rows (`copy (select * …) to … zstd`): the same
columns, the same values, the same order.

Usage: bench.py RELEASE_FOLDER [--keep DIR]     BENCH_EVENTS and BENCH_FLOWS set the size
"""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import peers

EVENTS = int(os.environ.get("BENCH_EVENTS", "580000"))
FLOWS = int(os.environ.get("BENCH_FLOWS", "4000000"))
HERE = pathlib.Path(__file__).resolve().parent


def cpu_of(command, stdin=""):
    """CPU seconds, peak resident MiB and standard output of a command."""
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as got:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=got)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{command[0]} failed with status {status}")
        got.seek(0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, got.read()


def peer(engine, statement):
    return cpu_of([sys.executable, str(HERE / "peers.py"), engine], statement)


def bytes_of(files):
    return sum(file.stat().st_size for file in files)


def rows_of(path):
    import duckdb

    return duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0][0]


def rewritten(table, out):
    """Size of the table's rows as DuckDB stores them."""
    statement = (
        f"copy (select * from read_parquet('{table}/*/*.parquet', hive_partitioning=true) order by event_time) "
        f"to '{out}' (format parquet, compression zstd)"
    )
    peer("duckdb", statement)
    return out.stat().st_size


def measure(programs, work, name, folder, pattern, corpus):
    inputs = sorted({p.parent for p in corpus.rglob(pattern) if f"/{folder}/" in str(p)})
    files = [p for d in inputs for p in sorted(d.glob(pattern))]
    linked = work / f"in-{name}"
    linked.mkdir()
    for index, file in enumerate(files):
        (linked / f"{index}{''.join(file.suffixes[-2:])}").symlink_to(file)
    lake = work / f"lake-{name}"
    cpu, memory, output = cpu_of(
        [str(programs / "logq-processor"), "once", "--lake", str(lake), "--format", "json", *map(str, inputs)]
    )
    summary = json.loads(output)
    rows, inflated = summary["rows"][name], summary["inflated_bytes"]
    found = [("logq-processor", cpu, memory, rows)]
    if name == "vpc_flow":
        with gzip.open(files[0], "rt") as first:
            header = first.readline().split()
        statements = {
            "duckdb": peers.duckdb_flow(f"{linked}/*", work / f"{name}-duckdb.parquet", header),
            "clickhouse": peers.clickhouse_flow(f"{linked}/*", work / f"{name}-clickhouse.parquet", header),
        }
    else:
        statements = {
            "duckdb": peers.duckdb_cloudtrail(f"{linked}/*", work / f"{name}-duckdb.parquet"),
            "clickhouse": peers.clickhouse_cloudtrail(f"{linked}/*", work / f"{name}-clickhouse.parquet"),
        }
    for engine, statement in statements.items():
        cpu, memory, _ = peer(engine, statement)
        found.append((engine, cpu, memory, rows_of(work / f"{name}-{engine}.parquet")))
    ours = bytes_of((lake / name).rglob("*.parquet"))
    theirs = rewritten(lake / name, work / f"{name}-rewritten.parquet")
    return found, inflated, bytes_of(files), ours, theirs, len(files)


def main():
    programs = pathlib.Path(sys.argv[1])
    keep = sys.argv[sys.argv.index("--keep") + 1] if "--keep" in sys.argv else None
    work = pathlib.Path(keep or tempfile.mkdtemp(prefix="logq-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    corpus = work / "corpus"
    if not corpus.exists():
        subprocess.run(
            [programs / "loggen", "--out", corpus, "--cloudtrail", str(EVENTS), "--flows", str(FLOWS), "--lines", "0"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    print("| input | engine | rows | CPU s | MB/CPU-s | rows/CPU-s | peak MiB | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    sizes = []
    for name, folder, pattern in (
        ("cloudtrail", "CloudTrail", "*.json.gz"),
        ("vpc_flow", "vpcflowlogs", "*.log.gz"),
    ):
        found, inflated, stored, ours, theirs, files = measure(programs, work, name, folder, pattern, corpus)
        base = found[0][1]
        for engine, cpu, memory, rows in found:
            print(
                f"| {name}, {files} files, {inflated / 1e6:.0f} MB | {engine} | {rows:,} | {cpu:.1f} | "
                f"{inflated / 1e6 / cpu:.0f} | {rows / cpu:,.0f} | {memory:.0f} | {cpu / base:.1f} |"
            )
        sizes.append((name, stored, ours, theirs))
    print("\n| table | gz originals MB | our files MB | DuckDB zstd, same rows MB | ours / DuckDB | ours / originals |")
    print("|---|---|---|---|---|---|")
    for name, stored, ours, theirs in sizes:
        print(
            f"| {name} | {stored / 1e6:.1f} | {ours / 1e6:.1f} | {theirs / 1e6:.1f} | {ours / theirs:.2f} | "
            f"{ours / stored:.2f} |"
        )
    if keep is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
