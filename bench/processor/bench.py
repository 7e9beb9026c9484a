"""How much input does one CPU-second turn into table rows?

CloudTrail JSON and flow logs made by `loggen` (seed 1), read by `logq-processor once` and, in the same
run, by DuckDB with the same parsing asked of it: nested records flattened to columns, zstd Parquet.
CPU time is user + system of the process; wall time is noise on a shared machine.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

EVENTS = int(os.environ.get("BENCH_EVENTS", "400000"))
FLOWS = int(os.environ.get("BENCH_FLOWS", "2000000"))

DUCKDB_CLOUDTRAIL = """
copy (
  select r.eventTime::timestamp as event_time, r.eventID as event_uid, r.eventSource as event_source,
         r.eventName as event_name, r.awsRegion as region, r.sourceIPAddress as source_ip_address,
         r.userAgent as user_agent, r.errorCode as error_code, r.recipientAccountId as account_id,
         r.requestParameters as request_parameters, r.responseElements as response_elements,
         r.userIdentity as user_identity
  from (select unnest(Records) as r from read_json('{files}', maximum_object_size=1000000000,
        columns={{Records: 'STRUCT(eventTime VARCHAR, eventID VARCHAR, eventSource VARCHAR, eventName VARCHAR,
          awsRegion VARCHAR, sourceIPAddress VARCHAR, userAgent VARCHAR, errorCode VARCHAR,
          recipientAccountId VARCHAR, requestParameters JSON, responseElements JSON, userIdentity JSON)[]'}}))
  order by event_time
) to '{out}' (format parquet, compression zstd)
"""

DUCKDB_FLOWS = """
copy (select * from read_csv('{files}', delim=' ', header=true, nullstr='-', union_by_name=true) order by start)
to '{out}' (format parquet, compression zstd)
"""


def cpu_of(command):
    """CPU seconds, peak resident MiB and standard output of a command."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 1)
        os.execvp(command[0], command)
    os.close(write)
    with os.fdopen(read) as stream:
        output = stream.read()
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed with status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


def duckdb(sql):
    program = "import duckdb, sys; c = duckdb.connect(); c.execute('set threads=2'); c.execute(sys.argv[1])"
    return cpu_of([sys.executable, "-c", program, sql])


def main():
    programs = pathlib.Path(sys.argv[1])
    work = pathlib.Path(tempfile.mkdtemp(prefix="logq-bench-"))
    corpus = work / "corpus"
    subprocess.run(
        [programs / "loggen", "--out", corpus, "--cloudtrail", str(EVENTS), "--flows", str(FLOWS), "--lines", "0"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    results = []
    for name, folder, pattern, sql in (
        ("cloudtrail", "CloudTrail", "*.json.gz", DUCKDB_CLOUDTRAIL),
        ("vpc_flow", "vpcflowlogs", "*.log.gz", DUCKDB_FLOWS),
    ):
        inputs = sorted({p.parent for p in corpus.rglob(pattern) if f"/{folder}/" in str(p)})
        files = [str(p) for d in inputs for p in d.glob(pattern)]
        lake = work / f"lake-{name}"
        cpu, memory, output = cpu_of(
            [str(programs / "logq-processor"), "once", "--lake", str(lake), "--format", "json", *map(str, inputs)]
        )
        summary = json.loads(output)
        rows, inflated = summary["rows"][name], summary["inflated_bytes"]
        linked = work / f"in-{name}"
        linked.mkdir()
        for index, file in enumerate(files):
            (linked / f"{index}{''.join(pathlib.Path(file).suffixes[-2:])}").symlink_to(file)
        out = work / f"{name}.parquet"
        peer_cpu, peer_memory, _ = duckdb(sql.format(files=f"{linked}/*", out=out))
        results.append((name, rows, inflated, cpu, memory, peer_cpu, peer_memory))
    print("| input | rows | MB inflated | logq CPU s | MB/CPU-s | rows/CPU-s | MiB peak | DuckDB CPU s | MiB peak | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, rows, inflated, cpu, memory, peer_cpu, peer_memory in results:
        print(
            f"| {name} | {rows:,} | {inflated / 1e6:.0f} | {cpu:.1f} | {inflated / 1e6 / cpu:.0f} | {rows / cpu:,.0f} "
            f"| {memory:.0f} | {peer_cpu:.1f} | {peer_memory:.0f} | {peer_cpu / cpu:.1f}x |"
        )
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
