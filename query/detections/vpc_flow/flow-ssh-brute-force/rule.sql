/* ---
id: flow-ssh-brute-force
title: "SSH brute force from outside"
status: stable
author: logq
level: high
description: |
    A public address opened many short SSH sessions to one host: passwords are being guessed and
    the port answers. Rejected attempts do not count; they are noise every public address sees.
tags:
  - attack.credential-access
  - attack.t1110.001
  - attack.t1021.004
tables: [vpc_flow]
parameters:
  sessions:
    default: 20
    doc: "Short sessions (distinct client ports) within the window. People and tools that hold a password need one or two."
  bytes:
    default: 10000
    doc: "Most bytes from the client in one record. A failed SSH login sends 2 to 5 KB; a session with work in it sends more."
  window:
    default: 10 minutes
    doc: "Guessing is fast; a short window keeps scheduled jobs apart."
summary: "{src} opened {sessions_seen} short sessions to {dst} port {dst_port} within {window}; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND dst_port = {dst_port} AND protocol = 6
    AND action = 'ACCEPT' AND bytes <= {bytes} AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Automation that opens a session per file or command (Ansible, rsync, git)."
--- */
WITH tries AS (
  SELECT {SRC} AS src, {DST} AS dst, dst_port, src_port, event_time, bytes, account_id, region
  FROM vpc_flow
  WHERE {TIME} AND protocol = 6 AND dst_port = 22 AND action = 'ACCEPT' AND bytes <= {bytes} AND {TO_SERVER}
    AND NOT is_private({SRC})
), windows AS (
  SELECT src, dst, dst_port, date_bin(INTERVAL {window}, event_time) AS bin, count(DISTINCT src_port) AS sessions_seen
  FROM tries GROUP BY src, dst, dst_port, date_bin(INTERVAL {window}, event_time)
  HAVING count(DISTINCT src_port) >= {sessions}
), suspects AS (
  SELECT src, dst, dst_port, date_trunc('day', bin) AS day, max(sessions_seen) AS sessions_seen
  FROM windows GROUP BY src, dst, dst_port, date_trunc('day', bin)
)
SELECT t.src || ' -> ' || t.dst || ' port ' || CAST(t.dst_port AS VARCHAR) AS entity, t.src, t.dst, t.dst_port,
  min(t.event_time) AS first_seen, max(t.event_time) AS last_seen, count(*) AS "count", max(s.sessions_seen) AS sessions_seen,
  sum(t.bytes) AS bytes_sent, min(t.account_id) AS account_id, min(t.region) AS region
FROM tries t JOIN suspects s
  ON t.src = s.src AND t.dst = s.dst AND t.dst_port = s.dst_port AND date_trunc('day', t.event_time) = s.day
GROUP BY t.src, t.dst, t.dst_port, s.day
ORDER BY "count" DESC, entity
