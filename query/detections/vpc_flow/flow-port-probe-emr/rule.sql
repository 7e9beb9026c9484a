/* ---
id: flow-port-probe-emr
title: "Open EMR port reached from a listed address"
status: stable
author: logq
level: high
description: |
    An address of the threat list `scanner` reached a management port of Hadoop, Spark or YARN. These
    run what they are told without asking who says it.
tags:
  - attack.reconnaissance
  - attack.t1595.001
  - attack.initial-access
  - attack.t1190
tables: [vpc_flow]
needs: [scanner]
summary: "{own} was reached from {peer} ({name}) on port {ports}; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {DST} = {own} AND {SRC} = {peer} AND action = 'ACCEPT' AND {TO_SERVER} AND dst_port IN (8042, 8088, 9870, 18080, 19888, 20888, 50070, 50075)
  ORDER BY event_time
falsepositives:
  - "None known: these ports are never meant to be public."
--- */
SELECT {DST} || ' <- ' || {SRC} AS entity, {DST} AS own, {SRC} AS peer, min(threat_name('scanner', {SRC})) AS name,
  min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count", sum(bytes) AS bytes_sent,
  string_agg(DISTINCT CAST(dst_port AS VARCHAR), ' ') AS ports, min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND action = 'ACCEPT' AND {TO_SERVER} AND dst_port IN (8042, 8088, 9870, 18080, 19888, 20888, 50070, 50075) AND is_private({DST}) AND NOT is_private({SRC}) AND threat_name('scanner', {SRC}) IS NOT NULL
GROUP BY {DST}, {SRC}, date_trunc('day', event_time)
ORDER BY "count" DESC, entity
