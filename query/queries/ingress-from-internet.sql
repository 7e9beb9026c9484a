/* ---
title: "Which public addresses reached private hosts, and where"
description: |
    Accepted traffic from a public to a private address towards a port below 32768: what the security groups let in.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT coalesce(pkt_dstaddr, dst_ip) AS host, dst_port, port_name(dst_port) AS service, count(DISTINCT coalesce(pkt_srcaddr, src_ip)) AS peers,
  sum(bytes) AS bytes, count(*) AS records, min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen
FROM vpc_flow
WHERE action = 'ACCEPT' AND NOT is_private(coalesce(pkt_srcaddr, src_ip)) AND is_private(coalesce(pkt_dstaddr, dst_ip)) AND dst_port < 32768
GROUP BY coalesce(pkt_dstaddr, dst_ip), dst_port
ORDER BY peers DESC, records DESC, host
LIMIT $limit
