#!/usr/bin/env python3
"""How much the collector takes of a node: bench.py RELEASE_DIR [--mb 1000]

Generates container logs (10 containers; JSON lines, access lines, Python messages and tracebacks, 5 % of the
lines in pieces as the runtime splits them, a few above 16 KiB), then runs the collector over them until it is
idle. Reported are wall seconds, CPU seconds of the whole process (user + system), MB per CPU-second and peak
resident memory; and, for 1,000 idle files, CPU over a minute.

The peer, Fluent Bit, is not installable from a package registry, so its recorded baseline is quoted and marked as
such (docs/benchmarks.md has how it was taken).
"""
import argparse, json, os, random, resource, shutil, socket, subprocess, sys, tempfile, time, urllib.request

BASELINE = 18.4  # Fluent Bit 5.1.1, tail + CRI + JSON parser -> file, MB per CPU-second (docs/benchmarks.md)

WORDS = "order user cart payment session cache index shard replica timeout retry upstream request lookup".split()


def message(rng):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(4, 14)))


def json_line(rng, n):
    return json.dumps({"time": f"2026-11-24T10:{n // 60 % 60:02}:{n % 60:02}Z", "level": rng.choice(["info"] * 8 + ["warn", "error"]),
                       "logger": "shop." + rng.choice(WORDS), "msg": message(rng), "trace_id": f"{rng.getrandbits(128):032x}",
                       "span_id": f"{rng.getrandbits(64):016x}", "duration_ms": round(rng.random() * 400, 2), "user": rng.randint(1, 9999)})


def access_line(rng, n):
    return (f'10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)} - - [24/Nov/2026:10:{n // 60 % 60:02}:{n % 60:02} +0000] '
            f'"GET /{rng.choice(WORDS)}/{rng.randint(1, 99999)}?q={rng.choice(WORDS)} HTTP/1.1" {rng.choice([200] * 9 + [404, 500])} '
            f'{rng.randint(100, 90000)} "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"')


def traceback(rng):
    lines = ["Traceback (most recent call last):"]
    for _ in range(rng.randint(3, 9)):
        lines += [f'  File "/app/{rng.choice(WORDS)}.py", line {rng.randint(1, 900)}, in {rng.choice(WORDS)}', f"    return {rng.choice(WORDS)}({rng.choice(WORDS)})"]
    return lines + [f"ValueError: {message(rng)}"]


def container(path, kind, size, seed):
    rng, n, written, records = random.Random(seed), 0, 0, 0
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", buffering=1 << 20) as out:
        while written < size:
            n += 1
            if kind == "json":
                bodies = [json_line(rng, n)]
            elif kind == "access":
                bodies = [access_line(rng, n)]
            else:
                bodies = traceback(rng) if rng.random() < 0.15 else [f"INFO {message(rng)}"]
            if rng.random() < 0.0001:
                bodies = ["x" * rng.randint(17_000, 60_000)]
            stream = "stderr" if len(bodies) > 1 else "stdout"
            for body in bodies:
                records += 1
                pieces = [body[i:i + 16384] for i in range(0, len(body), 16384)] or [""]
                if len(pieces) == 1 and rng.random() < 0.05:
                    cut = rng.randint(0, len(body))
                    pieces = [body[:cut], body[cut:]]
                for i, piece in enumerate(pieces):
                    tag = "F" if i + 1 == len(pieces) else "P"
                    line = f"2026-11-24T10:{n // 60 % 60:02}:{n % 60:02}.{n % 10**9:09}Z {stream} {tag} {piece}\n"
                    out.write(line)
                    written += len(line)
    return written, records


def generate(root, megabytes):
    total, records = 0, 0
    for i in range(10):
        kind = ["json", "access", "json", "python", "json", "access", "json", "access", "python", "json"][i]
        path = f"{root}/shop_app-{i}_00000000-0000-4000-8000-{i:012}/{kind}/0.log"
        size, count = container(path, kind, megabytes * 100_000, i)
        total, records = total + size, records + count
    return total, records


class S3:
    """The emulator's S3 as a process of its own: its CPU is not the collector's, its wall time is."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        server = os.path.join(os.path.dirname(sys.executable), "moto_server")
        self.process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                # Creates the bucket; any credentials will do, it does not check them.
                request = urllib.request.Request(f"{self.endpoint}/landing", method="PUT", headers={
                    "Authorization": "AWS4-HMAC-SHA256 Credential=bench/20261124/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"})
                urllib.request.urlopen(request, timeout=1).read()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("bench: the S3 emulator does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def collector(binary, work, pods, sink, transforms, until_idle=True, endpoint=None):
    shutil.rmtree(f"{work}/data", ignore_errors=True)
    shutil.rmtree(f"{work}/out", ignore_errors=True)
    inputs = '["parsed"]' if transforms else '["pods"]'
    with open(f"{work}/c.toml", "w") as out:
        out.write(f'data_dir = "{work}/data"\nnode = "n1"\nadmin.address = ""\nspool.max_bytes = "4GiB"\n'
                  f'[sources.pods]\ntype = "kubernetes_logs"\npods_dir = "{pods}"\n')
        if transforms:
            out.write(f'[transforms.parsed]\ntype = "parse"\ninputs = ["pods"]\nformat = "{transforms}"\n')
        out.write(f'[sinks.out]\ntype = "{sink}"\ninputs = {inputs}\n' + {
            "file": f'path = "{work}/out"\n',
            "aws_s3": f'bucket = "landing"\nregion = "us-east-1"\nendpoint = "{endpoint}"\n',
        }.get(sink, ""))
    return [binary, "run", "--config", f"{work}/c.toml"] + (["--until-idle", "1s"] if until_idle else [])


def measure(command, idle_seconds=1.0):
    """Wall and CPU seconds and peak resident MiB of a command that ends by itself."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    with open(os.devnull, "w") as null:
        environment = os.environ | {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "LOGQ_LOG": "warn"}
        process = subprocess.Popen(command, stdout=null, stderr=subprocess.PIPE, env=environment)
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed: {process.stderr.read().decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.time() - start - idle_seconds, cpu, peak / 1024


def idle(binary, work, files, seconds):
    pods = f"{work}/idle"
    for i in range(files):
        path = f"{pods}/shop_idle-{i}_00000000-0000-4000-8000-{i:012}/app"
        os.makedirs(path, exist_ok=True)
        with open(f"{path}/0.log", "w") as out:
            out.write(f"2026-11-24T10:00:00.{i:09}Z stdout F hello {i}\n")
    with open(os.devnull, "w") as null:
        process = subprocess.Popen(collector(binary, work, pods, "file", None, until_idle=False), stdout=null, stderr=null)
    def ticks():
        with open(f"/proc/{process.pid}/stat") as stat:
            return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
    time.sleep(10)
    first = ticks()
    time.sleep(seconds)
    share = (ticks() - first) / os.sysconf("SC_CLK_TCK") / seconds * 100
    with open(f"/proc/{process.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    process.terminate()
    process.wait()
    return share, peak


def main():
    options = argparse.ArgumentParser()
    options.add_argument("release")
    options.add_argument("--mb", type=int, default=1000)
    options.add_argument("--pods", help="existing pods directory to read instead of generating one")
    options.add_argument("--idle-seconds", type=int, default=60)
    options = options.parse_args()
    binary = os.path.join(options.release, "logq-collector")
    with tempfile.TemporaryDirectory(prefix="logq-bench-") as work:
        if options.pods:
            pods = options.pods
            size = sum(os.path.getsize(os.path.join(d, f)) for d, _, names in os.walk(pods) for f in names if f.endswith(".log"))
        else:
            pods = f"{work}/pods"
            size, _ = generate(pods, options.mb)
        megabytes = size / 1e6
        print(f"{megabytes:.0f} MB of container logs, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        print("| run | wall s | CPU s | MB/s | MB per CPU-s | × Fluent Bit | peak MiB |\n|---|---|---|---|---|---|---|")
        runs = [("tail, CRI, JSON parse → file", "file", "json"), ("tail, CRI, all formats parsed → file", "file", "auto"),
                ("tail, CRI → file", "file", None), ("tail, CRI, JSON parse → blackhole", "blackhole", "json")]
        runs.append(("tail, CRI, JSON parse → S3", "aws_s3", "json"))
        for name, sink, transforms in runs:
            s3 = S3() if sink == "aws_s3" else None
            wall, cpu, peak = measure(collector(binary, work, pods, sink, transforms, endpoint=s3 and s3.endpoint))
            if s3:
                s3.stop()
            rate = megabytes / cpu
            print(f"| {name} | {wall:.1f} | {cpu:.2f} | {megabytes / wall:.0f} | {rate:.0f} | {rate / BASELINE:.1f} (recorded) | {peak:.1f} |", flush=True)
        share, peak = idle(binary, work, 1000, options.idle_seconds)
        print(f"\n1,000 idle files: {share:.2f} % of a core over {options.idle_seconds} s, peak {peak:.1f} MiB")
        stripped = f"{work}/stripped"
        subprocess.run(["strip", "-s", "-o", stripped, binary], check=True)
        print(f"stripped binary: {os.path.getsize(stripped) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
