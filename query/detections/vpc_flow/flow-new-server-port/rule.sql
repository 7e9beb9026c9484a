/* ---
id: flow-new-server-port
title: "Port outside that nothing used before"
status: stable
author: logq
level: low
description: |
    An internal host opened connections to a port outside that no host used in the history. Command
    and control, tunnels and miners often listen where nothing else does.
tags:
  - attack.command-and-control
  - attack.t1571
tables: [vpc_flow]
parameters:
  history:
    default: 14 days
    doc: "How far back the host is known. Longer finds rarer things and reads more."
  days:
    default: 3
    doc: "Days of that history on which the host must have been seen: a new host has no habits yet."
summary: "{src} used port {dst_port} outside for the first time; nothing here did in the {history} before; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND dst_port = {dst_port} AND action = 'ACCEPT' AND NOT is_private({DST})
    AND protocol IN (6, 17) AND dst_port < 32768 AND dst_port NOT IN (25, 53, 80, 123, 443, 853) AND packets > 2 AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "New software, and new services of partners."
--- */
WITH recent AS (
  SELECT {SRC} AS src, dst_port, min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS records,
    sum(bytes) AS bytes_sent, min(account_id) AS account_id, min(region) AS region
  FROM vpc_flow
  WHERE {RECENT} AND action = 'ACCEPT' AND protocol IN (6, 17) AND dst_port < 32768 AND dst_port NOT IN (25, 53, 80, 123, 443, 853) AND packets > 2 AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
    AND pkt_dst_aws_service IS NULL
  GROUP BY {SRC}, dst_port, date_trunc('day', event_time)
), seen AS (
  SELECT DISTINCT dst_port FROM vpc_flow
  WHERE {HISTORY} AND action = 'ACCEPT' AND protocol IN (6, 17) AND dst_port < 32768 AND dst_port NOT IN (25, 53, 80, 123, 443, 853) AND packets > 2 AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
), hosts AS (
  SELECT {SRC} AS src FROM vpc_flow WHERE {HISTORY} AND is_private({SRC})
  GROUP BY {SRC} HAVING count(DISTINCT date_trunc('day', event_time)) >= {days}
)
SELECT r.src || ' port ' || CAST(r.dst_port AS VARCHAR) AS entity, r.src, r.dst_port, r.first_seen, r.last_seen,
  r.records AS "count", r.bytes_sent, r.account_id, r.region
FROM recent r JOIN hosts h ON r.src = h.src LEFT JOIN seen s ON r.dst_port = s.dst_port
WHERE s.dst_port IS NULL
ORDER BY "count" DESC, entity
