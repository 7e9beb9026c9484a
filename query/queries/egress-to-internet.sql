/* ---
title: "Private hosts by what they sent to the internet"
description: |
    Accepted traffic from a private to a public address. Packet addresses are used where they are logged, so a NAT gateway
    does not stand for the hosts behind it.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT coalesce(pkt_srcaddr, src_ip) AS host, coalesce(pkt_dstaddr, dst_ip) AS peer, dst_port, port_name(dst_port) AS service,
  sum(bytes) AS bytes, count(*) AS records, min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen
FROM vpc_flow
WHERE action = 'ACCEPT' AND is_private(coalesce(pkt_srcaddr, src_ip)) AND NOT is_private(coalesce(pkt_dstaddr, dst_ip))
GROUP BY coalesce(pkt_srcaddr, src_ip), coalesce(pkt_dstaddr, dst_ip), dst_port
ORDER BY bytes DESC, host, peer
LIMIT $limit
