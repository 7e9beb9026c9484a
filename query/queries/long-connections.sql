/* ---
title: "Connections that lasted longest"
description: |
    Records are windows of 60 or 600 seconds; those of one connection (same addresses and ports) are taken together. Reused
    client ports can join two connections into one.
tables: [vpc_flow]
parameters:
  - name: longer_than
    type: span
    default: "1h"
    doc: "Shortest duration shown."
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, src_port, dst_ip, dst_port, port_name(dst_port) AS service, max(coalesce(end_time, event_time)) - min(event_time) AS lasted,
  min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen, sum(bytes) AS bytes, count(*) AS records
FROM vpc_flow
WHERE action = 'ACCEPT' AND protocol IN (6, 17)
GROUP BY src_ip, src_port, dst_ip, dst_port
HAVING max(coalesce(end_time, event_time)) - min(event_time) >= now() - ago($longer_than)
ORDER BY lasted DESC, src_ip
LIMIT $limit
