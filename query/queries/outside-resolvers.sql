/* ---
title: "Hosts by their use of resolvers outside the VPC"
description: |
    DNS (53), DNS over TLS (853) to public resolvers: malware and tunnels do not use the resolver of the VPC.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, dst_ip, dst_port, port_name(dst_port) AS service, count(*) AS records, sum(bytes) AS bytes, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM vpc_flow
WHERE dst_port IN (53, 853) AND is_private(src_ip) AND NOT is_private(dst_ip)
GROUP BY src_ip, dst_ip, dst_port
ORDER BY records DESC, src_ip
LIMIT $limit
