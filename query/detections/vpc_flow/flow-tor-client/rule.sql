/* ---
id: flow-tor-client
title: "Connection to the Tor network"
status: stable
author: logq
level: high
description: |
    An internal host opened a connection to a relay of the list `tor`.
tags:
  - attack.command-and-control
  - attack.t1090.003
tables: [vpc_flow]
needs: [tor]
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
SELECT {SRC} || ' -> ' || {DST} AS entity, {SRC} AS own, {DST} AS peer, min(threat_name('tor', {DST})) AS name,
  min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count", sum(bytes) AS bytes_sent,
  string_agg(DISTINCT CAST(dst_port AS VARCHAR), ' ') AS ports, min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND action = 'ACCEPT' AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST}) AND threat_name('tor', {DST}) IS NOT NULL
GROUP BY {SRC}, {DST}, date_trunc('day', event_time)
ORDER BY "count" DESC, entity
