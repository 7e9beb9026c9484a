/* ---
title: "Who talked to a port"
description: |
    Clients and servers of one port, accepted and rejected.
tables: [vpc_flow]
parameters:
  - name: port
    type: int
    doc: "Destination port."
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, dst_ip, action, sum(bytes) AS bytes, count(*) AS records, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM vpc_flow
WHERE dst_port = $port
GROUP BY src_ip, dst_ip, action
ORDER BY records DESC, src_ip, dst_ip
LIMIT $limit
