/* ---
id: flow-c2
title: "Connection to a command-and-control server"
status: stable
author: logq
level: high
description: |
    An internal host opened a connection to an address of the threat list `c2`.
tags:
  - attack.command-and-control
  - attack.t1071
tables: [vpc_flow]
needs: [c2]
summary: "{own} talked to {peer} ({name}) on port {ports}; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {own} AND {DST} = {peer} AND action = 'ACCEPT' AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "An address that was given to somebody else since it was listed."
--- */
SELECT {SRC} || ' -> ' || {DST} AS entity, {SRC} AS own, {DST} AS peer, min(threat_name('c2', {DST})) AS name,
  min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count", sum(bytes) AS bytes_sent,
  string_agg(DISTINCT CAST(dst_port AS VARCHAR), ' ') AS ports, min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND action = 'ACCEPT' AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST}) AND threat_name('c2', {DST}) IS NOT NULL
GROUP BY {SRC}, {DST}, date_trunc('day', event_time)
ORDER BY "count" DESC, entity
