/* ---
title: "Which pairs of addresses moved most bytes"
description: |
    Bytes of both interfaces of a connection are counted where both are logged: compare pairs, not sums.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, dst_ip, dst_port, proto_name(protocol) AS protocol, sum(bytes) AS bytes, sum(packets) AS packets,
  count(*) AS records, min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen
FROM vpc_flow
WHERE action = 'ACCEPT'
GROUP BY src_ip, dst_ip, dst_port, protocol
ORDER BY bytes DESC, src_ip, dst_ip
LIMIT $limit
