/* ---
id: flow-mining-port
title: "Connection to a mining pool's port"
status: stable
author: logq
level: medium
description: |
    An internal host kept a connection open to a port that is used by mining pools and by nodes of
    Bitcoin, Monero and Ethereum.
tags:
  - attack.impact
  - attack.t1496
  - attack.t1496.001
tables: [vpc_flow]
parameters:
  records:
    default: 5
    doc: "Records from client to server: a miner stays connected, a mistyped port does not."
summary: "{src} talked to {dst} port {dst_port}: {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND dst_port = {dst_port} AND protocol = 6 AND action = 'ACCEPT' AND packets > 2 AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Other services on these ports, such as 5555 and 7777."
--- */
SELECT {SRC} || ' -> ' || {DST} || ' port ' || CAST(dst_port AS VARCHAR) AS entity, {SRC} AS src, {DST} AS dst, dst_port,
  min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count", sum(bytes) AS bytes_sent,
  min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND protocol = 6 AND action = 'ACCEPT' AND packets > 2 AND {TO_SERVER}
  AND dst_port IN (3333, 3357, 4444, 5555, 7777, 8333, 14433, 14444, 18080, 18081, 18333, 30303, 45560, 45700)
  AND is_private({SRC}) AND NOT is_private({DST}) AND pkt_dst_aws_service IS NULL
GROUP BY {SRC}, {DST}, dst_port, date_trunc('day', event_time)
HAVING count(*) >= {records}
ORDER BY "count" DESC, entity
