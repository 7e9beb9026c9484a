/* ---
title: "How much two addresses or networks said to each other, by direction and port"
description: |
    Both directions, so a small request with a large answer shows.
tables: [vpc_flow]
parameters:
  - name: a
    type: network
    doc: "One side: an address or network."
  - name: b
    type: network
    doc: "The other side."
--- */
SELECT src_ip, dst_ip, dst_port, action, sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS records,
  min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen
FROM vpc_flow
WHERE (cidr_contains($a, src_ip) AND cidr_contains($b, dst_ip)) OR (cidr_contains($b, src_ip) AND cidr_contains($a, dst_ip))
GROUP BY src_ip, dst_ip, dst_port, action
ORDER BY bytes DESC, src_ip, dst_port
