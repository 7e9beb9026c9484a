/* ---
title: "Traffic with addresses of a threat list"
description: |
    Needs --ip-list bad=FILE (one address, network or range a line). Both directions.
tables: [vpc_flow]
parameters:
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT src_ip, dst_ip, dst_port, action, sum(bytes) AS bytes, count(*) AS records, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM vpc_flow
WHERE in_list(src_ip, 'bad') OR in_list(dst_ip, 'bad')
GROUP BY src_ip, dst_ip, dst_port, action
ORDER BY action, bytes DESC, src_ip
LIMIT $limit
