/* ---
id: flow-database-to-internet
title: "Database talks to the Internet"
status: stable
author: logq
level: high
description: |
    A host that serves a database port inside opened connections to public addresses. Databases
    have no reason to; with a network intent file the zone rules say this more exactly.
tags:
  - attack.exfiltration
  - attack.t1048
  - attack.command-and-control
tables: [vpc_flow]
parameters:
  records:
    default: 3
    doc: "Records served on a database port before a host counts as a database."
summary: "{src} serves a database port and opened connections to {peers} public addresses ({bytes_sent} bytes sent); {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND NOT is_private({DST}) AND action = 'ACCEPT' AND protocol = 6
    AND pkt_dst_aws_service IS NULL AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Self-managed databases that fetch updates."
--- */
WITH databases AS (
  SELECT {DST} AS host FROM vpc_flow
  WHERE {TIME} AND protocol = 6 AND dst_port IN (1433, 1521, 3306, 5432, 27017) AND action = 'ACCEPT' AND {TO_SERVER}
    AND is_private({DST}) AND is_private({SRC})
  GROUP BY {DST} HAVING count(*) >= {records}
)
SELECT o.src AS entity, o.src, min(o.event_time) AS first_seen, max(o.event_time) AS last_seen, count(*) AS "count",
  count(DISTINCT o.dst) AS peers, sum(o.bytes) AS bytes_sent, min(o.account_id) AS account_id, min(o.region) AS region
FROM (
  SELECT {SRC} AS src, {DST} AS dst, event_time, bytes, account_id, region FROM vpc_flow
  WHERE {TIME} AND protocol = 6 AND action = 'ACCEPT' AND pkt_dst_aws_service IS NULL AND {TO_SERVER} AND NOT is_private({DST})
) o JOIN databases d ON o.src = d.host
GROUP BY o.src, date_trunc('day', o.event_time)
ORDER BY "count" DESC, entity
