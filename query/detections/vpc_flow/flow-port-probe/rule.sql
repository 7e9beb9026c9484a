/* ---
id: flow-port-probe
title: "Open port reached from a listed address"
status: stable
author: logq
level: low
description: |
    An address of the threat list `scanner` reached a port of an internal host that lets everybody in.
tags:
  - attack.reconnaissance
  - attack.t1595.001
tables: [vpc_flow]
needs: [scanner]
summary: "{own} was reached from {peer} ({name}) on port {ports}; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {DST} = {own} AND {SRC} = {peer} AND action = 'ACCEPT' AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Services that are meant to be public."
--- */
SELECT {DST} || ' <- ' || {SRC} AS entity, {DST} AS own, {SRC} AS peer, min(threat_name('scanner', {SRC})) AS name,
  min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count", sum(bytes) AS bytes_sent,
  string_agg(DISTINCT CAST(dst_port AS VARCHAR), ' ') AS ports, min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND action = 'ACCEPT' AND {TO_SERVER} AND is_private({DST}) AND NOT is_private({SRC}) AND threat_name('scanner', {SRC}) IS NOT NULL
GROUP BY {DST}, {SRC}, date_trunc('day', event_time)
ORDER BY "count" DESC, entity
