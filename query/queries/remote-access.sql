/* ---
title: "Interactive access from the internet: SSH, RDP, VNC, WinRM, Telnet"
description: |
    Accepted records from public addresses to administration ports. Few packets are probes, many are sessions.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, dst_ip, dst_port, port_name(dst_port) AS service, sum(packets) AS packets, sum(bytes) AS bytes, count(*) AS records,
  min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen
FROM vpc_flow
WHERE action = 'ACCEPT' AND dst_port IN (22, 23, 3389, 5900, 5985, 5986) AND NOT is_private(src_ip)
GROUP BY src_ip, dst_ip, dst_port
ORDER BY bytes DESC, src_ip
LIMIT $limit
