/* ---
title: "Who was rejected most, and on how many ports and hosts"
description: |
    One source on many ports or hosts is a scan; a private source is a host that lost its permission or never had it.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, is_private(src_ip) AS private, count(*) AS records, count(DISTINCT dst_port) AS ports, count(DISTINCT dst_ip) AS targets,
  min(event_time) AS first_seen, max(event_time) AS last_seen
FROM vpc_flow
WHERE action = 'REJECT'
GROUP BY src_ip
ORDER BY records DESC, src_ip
LIMIT $limit
