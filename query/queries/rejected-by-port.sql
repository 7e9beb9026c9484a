/* ---
title: "Rejected traffic by port"
description: |
    What was tried and refused. Many sources on one port is the noise of the internet; one source on many ports is a scan.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT dst_port, port_name(dst_port) AS service, proto_name(protocol) AS protocol, count(*) AS records,
  count(DISTINCT src_ip) AS sources, count(DISTINCT dst_ip) AS targets, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM vpc_flow
WHERE action = 'REJECT'
GROUP BY dst_port, protocol
ORDER BY records DESC, dst_port
LIMIT $limit
