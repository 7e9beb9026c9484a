"""Drives logq in a pseudo-terminal: argv[1] program, argv[2] lake, argv[3] home. Prints what it saw."""
import fcntl, os, pty, select, signal, struct, sys, termios, time

program, lake, home = sys.argv[1:4]
LIMIT = 120


def size(descriptor, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))


pid, terminal = pty.fork()
if pid == 0:
    environment = {"HOME": home, "PATH": os.environ.get("PATH", ""), "TERM": "xterm-256color", "RUST_BACKTRACE": "1"}
    os.execve(program, [program, "--lake", lake], environment)
size(terminal, 120)
seen = b""


def read(seconds):
    """Reads what comes, and answers where the cursor is, as a terminal does."""
    global seen
    if not select.select([terminal], [], [], seconds)[0]:
        return False
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        return False
    for _ in range(chunk.count(b"\x1b[6n")):
        os.write(terminal, b"\x1b[1;1R")
    seen += chunk
    return bool(chunk)


def until(text, again=None):
    """Waits for a text; sends `again` once a second until it comes."""
    global seen
    end, next_time = time.time() + LIMIT, time.time() + 1
    while text not in seen:
        if time.time() > end:
            os.kill(pid, signal.SIGKILL)
            sys.exit(f"never saw {text!r} in {seen[-3000:]!r}")
        read(0.1)
        if again is not None and time.time() > next_time:
            os.write(terminal, again)
            next_time = time.time() + 1
    before, _, seen = seen.partition(text)
    return before + text


def send(text):
    os.write(terminal, text.encode())


until(b"> ")
# Completion: the only column that begins so is put in.
send("select interf\t")
until(b"interface_id")
send(" from vpc_flow limit 2;\r")
until(b"2 rows in")
print("completed")
# A statement over two lines.
until(b"> ")
send("select 40 +\r")
until(b"-> ")
send("2 as answer;\r")
until(b"42")
print("continued")
# A long query, ended; the shell goes on.
until(b"> ")
send("select count(*) from range(100000000) a, range(100000) b where a.value * b.value % 7 = 3;\r")
until(b"cancelled", again=b"\x03")
print("cancelled")
send("\r")
until(b"> ")
# What is typed while the last of the cancelled query goes may be taken with it: typed again, on an empty line.
until(b"still here", again=b"\x15select 'still ' || 'here' as word;\r")
print("alive")
# Another width: rows do not fit any more and are written one value a line.
until(b"> ")
send("select event_time, src_ip, dst_ip, interface_id, event_uid, source from vpc_flow limit 1;\r")
until("┌".encode())
until(b"1 row in")
size(terminal, 44)
os.kill(pid, signal.SIGWINCH)
send("select event_time, src_ip, dst_ip, interface_id, event_uid, source from vpc_flow limit 1;\r")
until("─[ 1 ]".encode())
until(b"1 row in")
size(terminal, 120)
print("resized")
# Mistakes are told, commands obeyed.
send("select nothing from vpc_flow;\r")
until(b"no column called nothing")
send("\\export %s/out.csv\r" % home)
until(b"error")
send("select 7 as seven;\r")
until(b"1 row in")
send("\\export %s/out.csv\r" % home)
until(b"written to")
send("\\d\r")
until(b"first_date")
send("\\run top-talkers limit=1\r")
until(b"dst_port")
send("\\q\r")
while read(5):
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("left", status)
print("exported", open(f"{home}/out.csv").read().split())
history = open(f"{home}/.local/state/logq/history").read()
print("remembered", "still" in history, oct(os.stat(f"{home}/.local/state/logq").st_mode & 0o777))
