/* ---
title: "Bytes a host sent to the internet, hour by hour"
description: |
    A step out of the daily rhythm is what an upload looks like.
tables: [vpc_flow]
parameters:
  - name: host
    type: network
    doc: "Private address or network."
--- */
SELECT time_bucket('1h', event_time) AS hour, sum(bytes) AS bytes, count(DISTINCT dst_ip) AS peers, count(*) AS records
FROM vpc_flow
WHERE action = 'ACCEPT' AND cidr_contains($host, src_ip) AND NOT is_private(dst_ip)
GROUP BY time_bucket('1h', event_time)
ORDER BY hour
